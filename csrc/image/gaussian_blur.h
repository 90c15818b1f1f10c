// image/gaussian_blur.h: torchvision's gaussian_blur on RGBX pixels: one convolution in float32 with a kernel in two dimensions,
// reflected borders, rounded.
//
// Note [doubtful pixels]
// Here a pass along the rows and one along the columns make each value, and a bound says how far torch's own sum may be from it. Where
// an integer and a half lies within that bound, torch's sum itself is made, in its order; where that order is not known, torch blurs
// the image. So that each byte is torch's, whatever computes it.
#pragma once

#include "buffer.h"
#include "image/resample.h"
#include "types.h"

namespace fastload::image {

struct GaussianBlur;

// What only torch knows. Both may take Python's lock, and throw.
struct TorchBlur {
  // The kernel: blur.height rows of blur.width weights.
  void (*kernel)(const GaussianBlur& blur, float* weights);
  // Blurs a whole image; `out` is of the same size.
  void (*blur)(const GaussianBlur& blur, const Pixels& image, const Pixels& out);
};

struct GaussianBlur {
  int32_t width = 1;  // of the kernel; odd, up to kMost
  int32_t height = 1;
  float sigma = 1;
  bool v2 = false;        // transforms.v2 makes another kernel
  bool is_gray = false;   // the image has one channel
  bool in_order = false;  // torch adds the products row by row, each by one fused multiply-add
  const TorchBlur* torch = nullptr;

  static constexpr int32_t kMost = 127;
};

// The pixels that `want`, a part of the image of width x height, depends on.
Box blur_needs(const GaussianBlur& blur, const Box& want, int32_t width, int32_t height);

// `source` holds exactly blur_needs(want); `out` is a buffer of want's size, whose slack behind the last row may be written to. Each
// side of the image is longer than half of the kernel's. Returns how many pixels were doubtful.
int64_t gaussian_blur(const GaussianBlur& blur, const Pixels& source, const Box& want, int32_t width, int32_t height, const Pixels& out,
                      Buffer* scratch, Simd simd);

}  // namespace fastload::image
