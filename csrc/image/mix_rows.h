// image/mix_rows.h: what AugMix does to one row of RGBX pixels, in scalar and in SIMD.
#pragma once

#include "image/mix.h"

namespace fastload::image {

struct MixRows {
  // Each value becomes ratio * value + rest * other, of the same place in `other`: each product and the sum rounded, then cut to a byte.
  void (*blend)(uint8_t* rgbx, const uint8_t* other, int32_t count, float ratio, float rest);
  // The gray of each pixel in all four of its bytes: products and sums rounded in float32, cut to a whole number.
  void (*grays)(const uint8_t* rgbx, int32_t count, uint8_t* out);
  // The mean of nine pixels, of which the middle counts five times, rounded to the nearest. A pixel beside the row's ends is theirs.
  void (*blur)(const uint8_t* above, const uint8_t* rgbx, const uint8_t* below, int32_t count, uint8_t* out);
  // Row y of the warped image. theta[k][j] is of coordinate j what x, y and 1 are multiplied by, in units of half the image.
  void (*warp)(const Pixels& source, const float theta[3][2], const GridStyle& style, int32_t y, uint8_t* out);
  // The sum of weights[i] * images[i], each product and each sum rounded, cut to bytes.
  void (*combine)(const uint8_t* const* images, const float* weights, int32_t images_count, int32_t count, uint8_t* out);
};

extern const MixRows kMixScalar;
#if defined(__x86_64__)
extern const MixRows kMixAvx2;
#endif

}  // namespace fastload::image
