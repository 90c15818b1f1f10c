// recipe/warps.h: torchvision's affine and Pillow's rotate -> steps of a plan, with the numbers that Python computes.
#pragma once

#include "recipe/plan.h"

namespace fastload::recipe {

// How pixels are looked up and what shows where there are none; `center` is (x, y), or null for the image's own.
struct WarpStyle {
  image::Filter filter = image::Filter::nearest;  // nearest, bilinear, or bicubic
  uint8_t fill[3] = {0, 0, 0};
  const double* center = nullptr;
};

// torchvision's F.affine of a PIL image, of transforms or of transforms.v2; the angle and the shears are in degrees.
struct Affine {
  double angle = 0;
  double translate[2] = {0, 0};
  double scale = 1;
  double shear[2] = {0, 0};
  bool v2 = false;  // of transforms.v2, which adds in another order
};

// torchvision's _get_inverse_affine_matrix.
void inverse_of(const Affine& affine, const double center[2], double matrix[6]);

// Image.transform of the image as it is by now into one of the same size: Image.AFFINE with six numbers, see image/warp.h.
void transform(PlanBuilder& plan, const double matrix[6], const WarpStyle& style);
// torchvision's F.affine(image, angle, translate, scale, shear, interpolation, fill, center).
void affine(PlanBuilder& plan, const Affine& affine, const WarpStyle& style);
// Image.rotate(angle, resample, expand, center, fillcolor=fill), which is torchvision's F.rotate; the angle is in degrees.
void rotate(PlanBuilder& plan, double angle, bool expand, const WarpStyle& style);

}  // namespace fastload::recipe
