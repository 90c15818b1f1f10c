// image/gaussian_rows.h: a row of a Gaussian blur, in scalar and in SIMD. The two may differ by less than the bound of Note [doubtful
// pixels], but for `in_order`, which is exact.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastload::image {

// Rows hold four numbers a pixel. Up to kRowSlack pixels behind `count` may be read and written.
constexpr int32_t kRowSlack = 8;

// The part of a kernel beyond which there are only zeros.
struct KernelPart {
  const float* weights = nullptr;
  int32_t stride = 0;
  int32_t width = 0;
  int32_t height = 0;
};

struct GaussianRows {
  void (*to_floats)(const uint8_t* rgbx, int32_t count, float* out);
  // Pixel i is the weighted sum of those from i on.
  void (*across)(const float* in, const float* weights, int32_t taps, int32_t count, float* out);
  // The weighted sum of rows, rounded. Returns how many pixels have a channel within `doubt` of an integer and a half: `doubtful`.
  int32_t (*down)(const float* const* rows, const float* weights, int32_t taps, int32_t count, float doubt, uint8_t* rgbx,
                  int32_t* doubtful);
  // As torch sums up the pixels that begin at each of `columns`; into the same columns of `out`.
  void (*in_order)(const KernelPart& kernel, const uint8_t* rgbx, ptrdiff_t stride, const int32_t* columns, int32_t count,
                   uint8_t* out);
};

extern const GaussianRows kGaussianScalar;
#if defined(__x86_64__)
extern const GaussianRows kGaussianAvx2;
#endif

}  // namespace fastload::image
