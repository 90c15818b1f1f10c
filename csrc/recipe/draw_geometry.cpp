#include "recipe/draw_geometry.h"

#include <algorithm>
#include <cmath>

#include "recipe/draws.h"
#include "recipe/warps.h"

namespace fastload::recipe {

namespace {

WarpStyle style_of(const Transform& t) {
  return {t.filter, {t.fill[0], t.fill[1], t.fill[2]}, t.is_centred ? nullptr : t.center};
}

float drawn_between(const Transform& t, int which, const Recipe& recipe, random::Generator& generator) {
  return uniform_between(recipe, generator, t.least[which], t.most[which]);
}

void random_affine(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  Affine drawn;
  drawn.v2 = t.v2;
  drawn.angle = drawn_between(t, 0, recipe, generator);
  if (t.moves) {
    const double most[2] = {t.shares[0] * plan.width(), t.shares[1] * plan.height()};
    for (int i = 0; i < 2; ++i) {
      const auto limit = static_cast<float>(most[i]);
      drawn.translate[i] = std::nearbyint(uniform_between(recipe, generator, -limit, limit));
    }
  }
  if (t.varies[1]) drawn.scale = drawn_between(t, 1, recipe, generator);
  for (int i = 0; i < 2; ++i) {
    if (t.varies[2 + i]) drawn.shear[i] = drawn_between(t, 2 + i, recipe, generator);
  }
  affine(plan, drawn, style_of(t));
}

Status random_perspective(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  if (!(generator.uniform() < t.p)) return {};
  const int32_t width = plan.width();
  const int32_t height = plan.height();
  const int32_t most_x = static_cast<int32_t>(t.distortion * (width / 2)) + 1;
  const int32_t most_y = static_cast<int32_t>(t.distortion * (height / 2)) + 1;
  Corners corners;
  for (int i = 0; i < 4; ++i) {
    const bool is_right = i == 1 || i == 2;
    const bool is_lower = i >= 2;
    corners.x[i] = (is_right ? width - most_x : 0) + static_cast<int32_t>(generator.below(static_cast<uint32_t>(most_x)));
    corners.y[i] = (is_lower ? height - most_y : 0) + static_cast<int32_t>(generator.below(static_cast<uint32_t>(most_y)));
  }
  float numbers[8];
  if (!perspective(corners, width, height, numbers) &&
      (recipe.torch_perspective == nullptr || !recipe.torch_perspective(corners, width, height, numbers))) {
    return {Code::transform, "no perspective has these corners"};
  }
  image::Warp warp;
  warp.is_perspective = true;
  warp.filter = t.filter;
  std::copy_n(numbers, 8, warp.by);
  std::copy_n(t.fill, 3, warp.fill);
  plan.warp(warp, width, height);
  return {};
}

// low + torch.rand(1) * (high - low), of a tensor of float32.
float scaled(const Transform& t, random::Generator& generator) {
  const float part = generator.uniform() * static_cast<float>(t.scale[1] - t.scale[0]);
  return static_cast<float>(t.scale[0]) + part;
}

// int(length * factor), of a tensor of float32.
int32_t times(int32_t length, float factor) { return as_int32(std::trunc(static_cast<float>(length) * factor)); }

void random_zoom_out(const Transform& t, random::Generator& generator, PlanBuilder& plan) {
  if (!(generator.uniform() < t.p)) return;
  const float factor = scaled(t, generator);
  const int64_t wider = int64_t{times(plan.width(), factor)} - plan.width();
  const int64_t higher = int64_t{times(plan.height(), factor)} - plan.height();
  const int32_t left = times(as_int32(static_cast<double>(wider)), generator.uniform());
  const int32_t top = times(as_int32(static_cast<double>(higher)), generator.uniform());
  plan.pad(left, top, wider - left, higher - top, image::PadMode::constant, t.fill);
}

Status resize(int32_t width, int32_t height, const Transform& t, const Recipe& recipe, PlanBuilder& plan) {
  if (width < 1 || height < 1) return {Code::transform, "resized to nothing"};
  plan.resize(width, height, t.filter, recipe.vertical_first);
  return {};
}

Status scale_jitter(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  const float factor = scaled(t, generator);
  // The target's numbers are taken for height and width the other way round.
  const double fitting = std::fmin(t.sizes[1] / plan.height(), t.sizes[0] / plan.width());
  const float by = static_cast<float>(fitting) * factor;
  return resize(times(plan.width(), by), times(plan.height(), by), t, recipe, plan);
}

Status random_shortest_size(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  const double size = t.sizes[generator.below(static_cast<uint32_t>(t.sizes.size()))];
  double by = size / std::min(plan.width(), plan.height());
  if (t.max_size > 0) by = std::fmin(by, static_cast<double>(t.max_size) / std::max(plan.width(), plan.height()));
  return resize(as_int32(std::trunc(plan.width() * by)), as_int32(std::trunc(plan.height() * by)), t, recipe, plan);
}

Status random_resize(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  Transform drawn;
  drawn.width = t.width + static_cast<int32_t>(generator.below(static_cast<uint32_t>(t.max_size - t.width)));
  int32_t width = 0;
  int32_t height = 0;
  resized_size(drawn, plan.width(), plan.height(), &width, &height);
  return resize(width, height, t, recipe, plan);
}

}  // namespace

// The long side is truncated, not rounded.
void resized_size(const Transform& t, int32_t width, int32_t height, int32_t* out_width, int32_t* out_height) {
  if (t.height > 0) {
    *out_width = t.width;
    *out_height = t.height;
    return;
  }
  const double short_side = width <= height ? width : height;
  const double long_side = width <= height ? height : width;
  int64_t new_short = t.width;
  int64_t new_long = t.max_size;
  // int(a * b / c) in Python: the product is exact, the quotient a correctly rounded double.
  if (t.width == 0) {
    new_short = static_cast<int64_t>(t.max_size * short_side / long_side);
  } else {
    new_long = static_cast<int64_t>(static_cast<double>(new_short) * long_side / short_side);
  }
  if (t.max_size > 0 && new_long > t.max_size) {
    new_short = static_cast<int64_t>(static_cast<double>(t.max_size) * static_cast<double>(new_short) /
                                     static_cast<double>(new_long));
    new_long = t.max_size;
  }
  *out_width = as_int32(static_cast<double>(width <= height ? new_short : new_long));
  *out_height = as_int32(static_cast<double>(width <= height ? new_long : new_short));
}

Status draw_geometry(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  switch (t.kind) {
    case Kind::random_rotation: rotate(plan, drawn_between(t, 0, recipe, generator), t.expand, style_of(t)); return {};
    case Kind::random_affine: random_affine(t, recipe, generator, plan); return {};
    case Kind::random_perspective: return random_perspective(t, recipe, generator, plan);
    case Kind::random_zoom_out: random_zoom_out(t, generator, plan); return {};
    case Kind::scale_jitter: return scale_jitter(t, recipe, generator, plan);
    case Kind::random_shortest_size: return random_shortest_size(t, recipe, generator, plan);
    case Kind::random_resize: return random_resize(t, recipe, generator, plan);
    default: return {Code::transform, "unknown transform"};
  }
}

}  // namespace fastload::recipe
