// image/box_rows.h: one extended box blur of two rows of pixels side by side, in scalar and in SIMD; the same bytes.
#pragma once

#include <cstdint>

namespace fastload::image {

// Of a box that reaches `radius` pixels to either side, and by a part into the next two. Weights are of 2^24.
struct BoxWeights {
  int32_t radius = 0;
  uint32_t whole = 0;  // of each pixel
  uint32_t part = 0;   // of the two at the ends
};

// Eight bytes are one pixel of each row. radius + 1 pixels before `line` and behind its `count` are there.
using BoxRowsFn = void (*)(const BoxWeights& weights, const uint8_t* line, int32_t count, uint8_t* out);

void box_rows_scalar(const BoxWeights& weights, const uint8_t* line, int32_t count, uint8_t* out);
#if defined(__x86_64__)
void box_rows_avx2(const BoxWeights& weights, const uint8_t* line, int32_t count, uint8_t* out);
#endif

}  // namespace fastload::image
