// recipe/timm.h: what timm draws (timm.data.transforms and timm.data.auto_augment), number for number: from Python's `random`, and
// which operations a RandAugment does from NumPy's generator.
#pragma once

#include <cstdint>
#include <vector>

#include "recipe/plan.h"

namespace fastload::recipe {

// Of one AugmentOp.
struct Augment {
  enum class Kind : uint8_t {
    autocontrast,
    equalize,
    invert,
    posterize,
    solarize,
    solarize_add,
    color,
    contrast,
    brightness,
    sharpness,
    desaturate,
    gaussian_blur,       // Pillow's, of a radius that hangs on the strength
    gaussian_blur_rand,  // of a radius between 0.1 and twice the strength
    rotate,
    shear_x,
    shear_y,
    translate_x,  // by pixels
    translate_y,
    translate_x_rel,  // by a part of the side
    translate_y_rel,
  };
  Kind kind = Kind::autocontrast;
  bool is_increasing = false;  // posterize, solarize and the enhancements: stronger with the magnitude
  bool is_original = false;    // posterize: of the paper on AutoAugment
  double p = 0.5;
  double magnitude = 10;
  double std = 0;             // of the magnitude, infinite: it is drawn between 0 and `magnitude`
  double most_magnitude = 10;
  double reach = 0;            // translations: at a magnitude of 10
  int32_t least_bits = 1;      // posterize: Pillow refuses fewer, or the image is black
  double least = 0;  // desaturate, gaussian_blur and gaussian_blur_rand: what the strength becomes
  double most = 0;
  std::vector<image::Filter> filters;  // one of them is drawn where there are several, or where `draws_filter`
  bool draws_filter = false;
  uint8_t fill[3] = {128, 128, 128};
};

// A RandAugment or an AutoAugment.
struct AugmentPolicy {
  bool is_auto = false;
  int32_t layers = 2;                         // rand: how many operations are drawn
  std::vector<double> p;                      // rand: of each; none: all are alike, and may be drawn again
  std::vector<std::vector<Augment>> choices;  // auto: sub-policies; rand: each of one operation
};

// Code::transform where Pillow refuses what was drawn.
Status augment(const AugmentPolicy& policy, random::Generator& generator, PlanBuilder& plan);

// RandomResizedCropAndInterpolation, ResizeKeepRatio, RandomCropOrPad.
Status timm_crop_and_resize(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan);
Status timm_resize_keep_ratio(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan);
Status timm_crop_or_pad(const Transform& t, random::Generator& generator, PlanBuilder& plan);

}  // namespace fastload::recipe
