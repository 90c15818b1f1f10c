// image/box_blur.h: Pillow's ImageFilter.GaussianBlur on RGBX pixels: three extended box blurs along the rows, then three along the
// columns, in integers. Every byte is Pillow's.
#pragma once

#include "buffer.h"
#include "image/resample.h"
#include "types.h"

namespace fastload::image {

// The radius of Pillow's argument; 0: nothing is done along that axis.
struct BoxBlur {
  float x = 0;
  float y = 0;
};

// The pixels that `want`, a part of the image of width x height, depends on.
Box box_blur_needs(const BoxBlur& blur, const Box& want, int32_t width, int32_t height);

// In place. `pixels` is box_blur_needs(want) as it lies in the image; only `want` of it is right then.
void box_blur(const BoxBlur& blur, const Pixels& pixels, Buffer* scratch, Simd simd);

}  // namespace fastload::image
