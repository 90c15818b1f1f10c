// recipe/perspective.h: the eight numbers of torchvision's RandomPerspective, as torch's least squares computes them.
#pragma once

#include <cstdint>

namespace fastload::recipe {

// Where the image's corners go: x and y of the upper left, the upper right, the lower right and the lower left.
struct Corners {
  int32_t x[4];
  int32_t y[4];
};

// torchvision's _get_perspective_coeffs for an image of width x height; false where torch finds no solution.
using PerspectiveFn = bool (*)(const Corners& corners, int32_t width, int32_t height, float out[8]);

// The same without torch; false where it cannot be certain of a bit of them.
bool perspective(const Corners& corners, int32_t width, int32_t height, float out[8]);

}  // namespace fastload::recipe
