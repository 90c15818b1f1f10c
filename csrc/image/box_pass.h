// image/box_pass.h: one extended box blur down the columns of an image, in scalar and in SIMD; the same bytes.
#pragma once

#include <cstdint>

#include "types.h"

namespace fastload::image {

// Of a box that reaches `radius` pixels to either side, and by a part into the next two. Weights are of 2^24.
struct BoxWeights {
  int32_t radius = 0;
  uint32_t whole = 0;  // of each pixel
  uint32_t part = 0;   // of the two at the ends
};

// All bytes of a row alike. Beyond the first and the last row lie these. `sums` has room for four bytes for each byte of a row, 64-byte
// aligned. `out` is another image of the same size.
using BoxPass = void (*)(const BoxWeights& weights, const Pixels& source, uint8_t* sums, const Pixels& out);

void box_pass_scalar(const BoxWeights& weights, const Pixels& source, uint8_t* sums, const Pixels& out);
#if defined(__x86_64__)
// Its sums have 16 bits, and a sign.
constexpr int32_t kMostRadiusOfAvx2 = 63;
void box_pass_avx2(const BoxWeights& weights, const Pixels& source, uint8_t* sums, const Pixels& out);
#endif

}  // namespace fastload::image
