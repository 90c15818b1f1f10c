// recipe/draws.h: how torch and Python compute what transforms draw; for the files that draw.
#pragma once

#include <cmath>
#include <limits>
#include <utility>

#include "random/generator.h"
#include "recipe/recipe.h"

namespace fastload::recipe {

// What is larger than any image stays so.
inline int32_t as_int32(double value) {
  constexpr double kMost = std::numeric_limits<int32_t>::max();
  return static_cast<int32_t>(std::fmax(-kMost, std::fmin(kMost, value)));
}

// Python's round(): ties to even, which is the default rounding mode.
inline int32_t round_half_even(double value) { return as_int32(std::nearbyint(value)); }

// What RandomResizedCrop takes when no window that it drew fits: the largest in the middle whose ratio is allowed.
inline Box central_window(const double ratio[2], int32_t width, int32_t height) {
  const double in_ratio = static_cast<double>(width) / static_cast<double>(height);
  const double low = std::fmin(ratio[0], ratio[1]);
  const double high = std::fmax(ratio[0], ratio[1]);
  int32_t w = width;
  int32_t h = height;
  if (in_ratio < low) {
    h = round_half_even(w / low);
  } else if (in_ratio > high) {
    w = round_half_even(h * high);
  }
  // Python's // rounds down; the differences are never negative here but for absurd ratios.
  return {(width - w) >> 1, (height - h) >> 1, w, h};
}

// torch.empty(1).uniform_(low, high).
inline float uniform_between(const Recipe& recipe, random::Generator& generator, float low, float high) {
  const float x = generator.uniform();
  return recipe.fused_uniform ? std::fma(x, high - low, low) : x * (high - low) + low;
}

// torch.randperm(count), for counts far below 2^32 / 20.
inline void random_permutation(random::Generator& generator, int count, uint8_t* order) {
  for (int i = 0; i < count; ++i) order[i] = static_cast<uint8_t>(i);
  for (int i = 0; i < count - 1; ++i) {
    std::swap(order[i], order[i + static_cast<int>(generator.below(static_cast<uint32_t>(count - i)))]);
  }
}

// Note [torch.exp]
// RandomResizedCrop and RandomErasing take exp of one float32. torch's exp is within one unit in the last place of the correctly
// rounded value and differs from it in 1.1 % of arguments (measured on 20,000), depending on the build. The sides are rounded to
// integers, so that unit matters about once in four million crops. Therefore: exp in double, and where a side lies within
// kExpMargin of a rounding boundary, torch itself is asked.
constexpr double kExpMargin = 2e-7;  // relative; one float32 unit is at most 1.2e-7, and the square root halves it

inline bool near_half(double value) {
  const double distance = std::fabs(value - std::floor(value) - 0.5);
  return distance <= value * kExpMargin;
}

// sqrt(area * exp(log_aspect)) and sqrt(area / exp(log_aspect)), as exact as rounding them to integers needs.
struct Sides {
  double product;
  double quotient;
};

inline Sides sides_of(const Recipe& recipe, double area, float log_aspect) {
  double aspect = static_cast<double>(static_cast<float>(std::exp(static_cast<double>(log_aspect))));
  Sides sides = {std::sqrt(area * aspect), std::sqrt(area / aspect)};
  if (recipe.torch_exp != nullptr && (near_half(sides.product) || near_half(sides.quotient))) {
    aspect = static_cast<double>(recipe.torch_exp(log_aspect));
    sides = {std::sqrt(area * aspect), std::sqrt(area / aspect)};
  }
  return sides;
}

}  // namespace fastload::recipe
