// recipe/draw_erasing.h: RandomErasing of torchvision, both of its transforms and its transforms.v2.
#pragma once

#include "recipe/plan.h"

namespace fastload::recipe {

void random_erasing(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan);

}  // namespace fastload::recipe
