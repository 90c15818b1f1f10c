// recipe/draw_erasing.h: RandomErasing of torchvision, both of its transforms and its transforms.v2, and timm's.
#pragma once

#include "recipe/plan.h"

namespace fastload::recipe {

void random_erasing(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan);
// Where and how large from Python's `random`, noise from torch's generator.
void timm_erasing(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan);

}  // namespace fastload::recipe
