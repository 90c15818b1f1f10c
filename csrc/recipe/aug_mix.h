// recipe/aug_mix.h: torchvision's AugMix of transforms: what is drawn for it. image/mix.h does it.
#pragma once

#include <memory>
#include <vector>

#include "image/mix.h"
#include "recipe/plan.h"

namespace fastload::recipe {

struct MixOperation {
  bool is_signed = false;  // then each effect is followed by that of the negative strength
  int32_t magnitudes = 0;  // one of so many is drawn; 0: there is one, and none is drawn
  std::vector<std::shared_ptr<const image::TensorOp>> effects;
};

// For images of one size, which what the operations do depends on.
struct AugMix {
  int32_t width = 0;
  int32_t height = 0;
  bool is_gray = false;
  image::GridStyle grid;
  double alpha = 1;
  int32_t chains = 3;
  int32_t depth = -1;  // of each chain; below 1: 1 to 3, drawn
  std::vector<MixOperation> operations;
};

Status apply(const AugMix& aug_mix, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan);

}  // namespace fastload::recipe
