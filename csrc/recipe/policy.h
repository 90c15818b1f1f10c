// recipe/policy.h: torchvision's AutoAugment, RandAugment and TrivialAugmentWide, both of transforms and of transforms.v2.
//
// What an operation does at each strength is worked out beforehand, in Python; here one is chosen and done.
#pragma once

#include <vector>

#include "recipe/plan.h"

namespace fastload::recipe {

// An operation at one strength.
struct Effect {
  enum class Kind : uint8_t { nothing, recolour, shear, translate, spread, rotate };
  Kind kind = Kind::nothing;
  image::Recolour recolour;
  double x = 0;  // shear: degrees, about the first pixel's corner; translate: whole pixels; rotate: degrees
  double y = 0;
  // spread: whole pixels along one axis, of int(torch.linspace(0, times * side / divisor, bins)[bin]) with the side of the image there
  bool is_vertical = false;
  bool is_negative = false;
  double times = 1;
  double divisor = 1;
  int32_t bins = 1;
  int32_t bin = 0;
};

struct Operation {
  float p = 1;                  // of an AutoAugment
  bool is_signed = false;       // then each effect is followed by that of the negative strength
  int32_t magnitudes = 0;       // one of so many is drawn; 0: there is one, and none is drawn
  std::vector<Effect> effects;  // of each magnitude
};

struct Policy {
  bool v2 = false;
  bool is_auto = false;                         // AutoAugment: with a probability each, and signs that v1 draws beforehand
  int32_t count = 1;                            // how many choices are made
  std::vector<std::vector<Operation>> choices;  // operations one after the other
  image::Filter filter = image::Filter::nearest;
  uint8_t fill[3] = {0, 0, 0};
};

void apply(const Policy& policy, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan);

}  // namespace fastload::recipe
