#include "recipe/policy.h"

#include <cmath>

#include "recipe/draws.h"
#include "recipe/warps.h"

namespace fastload::recipe {

namespace {

// Of v1's AutoAugment, which draws them for two operations, whatever is done.
struct Drawn {
  float p[2] = {0, 0};
  bool is_negative[2] = {false, false};
};

// Within this share of an integer torch's float32 may be on the other side of it; it is off by a few 1e-7.
constexpr double kLinspaceMargin = 1e-5;

double spread(const Effect& effect, const Recipe& recipe, int32_t side) {
  if (effect.bin == 0) return 0;
  const double end = effect.times * side / effect.divisor;
  double value = end * effect.bin / (effect.bins - 1);
  if (std::fabs(value - std::nearbyint(value)) <= value * kLinspaceMargin) {
    value = static_cast<double>(recipe.torch_linspace(end, effect.bins, effect.bin));
  }
  return std::trunc(effect.is_negative ? -value : value);
}

void apply(const Effect& effect, const Policy& policy, const Recipe& recipe, PlanBuilder& plan) {
  static constexpr double kCorner[2] = {0, 0};
  WarpStyle style;
  style.filter = policy.filter;
  for (int c = 0; c < 3; ++c) style.fill[c] = policy.fill[c];
  Affine moved;
  moved.v2 = policy.v2;
  switch (effect.kind) {
    case Effect::Kind::nothing: return;
    case Effect::Kind::recolour: plan.recolour(effect.recolour); return;
    case Effect::Kind::rotate: rotate(plan, effect.x, false, style); return;
    case Effect::Kind::shear:
      moved.shear[0] = effect.x;
      moved.shear[1] = effect.y;
      style.center = kCorner;
      break;
    case Effect::Kind::translate:
      moved.translate[0] = effect.x;
      moved.translate[1] = effect.y;
      break;
    case Effect::Kind::spread:
      if (effect.is_vertical) {
        moved.translate[1] = spread(effect, recipe, plan.height());
      } else {
        moved.translate[0] = spread(effect, recipe, plan.width());
      }
      break;
  }
  affine(plan, moved, style);
}

const Effect& effect_of(const Operation& operation, size_t magnitude, bool is_negative) {
  if (!operation.is_signed) return operation.effects[magnitude];
  return operation.effects[2 * magnitude + (is_negative ? 1 : 0)];
}

void choose(const Policy& policy, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  const auto& choice = policy.choices[generator.below(static_cast<uint32_t>(policy.choices.size()))];
  const bool draws_first = policy.is_auto && !policy.v2;
  Drawn drawn;
  if (draws_first) {
    for (float& p : drawn.p) p = generator.uniform();
    for (bool& is_negative : drawn.is_negative) is_negative = generator.below(2) == 0;
  }
  for (size_t i = 0; i < choice.size(); ++i) {
    const Operation& operation = choice[i];
    if (policy.is_auto && !((draws_first ? drawn.p[i] : generator.uniform()) <= operation.p)) continue;
    size_t magnitude = 0;
    if (operation.magnitudes > 0) magnitude = generator.below(static_cast<uint32_t>(operation.magnitudes));
    bool is_negative = false;
    if (draws_first) {
      is_negative = drawn.is_negative[i];
    } else if (operation.is_signed) {
      is_negative = policy.v2 ? generator.uniform() <= 0.5f : generator.below(2) != 0;
    }
    apply(effect_of(operation, magnitude, is_negative), policy, recipe, plan);
  }
}

}  // namespace

void apply(const Policy& policy, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  for (int32_t i = 0; i < policy.count; ++i) choose(policy, recipe, generator, plan);
}

}  // namespace fastload::recipe
