// recipe/draw_geometry.h: what torchvision's transforms of an image's shape draw: rotations, warps and random sizes.
#pragma once

#include "random/generator.h"
#include "recipe/plan.h"
#include "recipe/recipe.h"

namespace fastload::recipe {

// torchvision's _compute_resized_output_size for a resize transform.
void resized_size(const Transform& t, int32_t width, int32_t height, int32_t* out_width, int32_t* out_height);

// Any kind from random_rotation to random_resize.
Status draw_geometry(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan);

}  // namespace fastload::recipe
