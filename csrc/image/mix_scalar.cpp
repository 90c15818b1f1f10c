#include "image/mix_kernels.h"

namespace fastload::image {

namespace {

void gray_row(const uint8_t* rgbx, int32_t count, uint8_t* out) { gray_rest(rgbx, 0, count, out); }

void warp_row(const Pixels& source, const float theta[3][2], const GridStyle& style, int32_t y, uint8_t* out) {
  warp_rest(source, theta, style, y, 0, out);
}

}  // namespace

const MixRows kMixScalar = {blend_row, gray_row, blur_row, warp_row, combine_row};

}  // namespace fastload::image
