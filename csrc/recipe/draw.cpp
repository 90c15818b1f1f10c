#include <cmath>
#include <limits>

#include "recipe/plan.h"
#include "recipe/recipe.h"

namespace fastload::recipe {

namespace {

// What is larger than any image stays so.
int32_t as_int32(double value) {
  constexpr double kMost = std::numeric_limits<int32_t>::max();
  return static_cast<int32_t>(std::fmax(-kMost, std::fmin(kMost, value)));
}

// Python's round(): ties to even, which is the default rounding mode.
int32_t round_half_even(double value) { return as_int32(std::nearbyint(value)); }

constexpr uint8_t kBlack[3] = {0, 0, 0};

float uniform_between(const Recipe& recipe, random::Generator& generator, float low, float high) {
  const float x = generator.uniform();
  return recipe.fused_uniform ? std::fma(x, high - low, low) : x * (high - low) + low;
}

// Note [torch.exp]
// RandomResizedCrop takes exp of one float32. torch's exp is within one unit in the last place of the correctly rounded value
// and differs from it in 1.1 % of arguments (measured on 20,000), depending on the build. The crop's sides are rounded to
// integers, so that unit matters about once in four million crops. Therefore: exp in double, and where a side lies within
// kExpMargin of a rounding boundary, torch itself is asked.
constexpr double kExpMargin = 2e-7;  // relative; one float32 unit is at most 1.2e-7, and the square root halves it

bool near_half(double value) {
  const double distance = std::fabs(value - std::floor(value) - 0.5);
  return distance <= value * kExpMargin;
}

Box random_resized_crop(const Transform& t, const Recipe& recipe, random::Generator& generator, int32_t width,
                        int32_t height) {
  const double area = static_cast<double>(static_cast<int64_t>(height) * width);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target_area =
        area * static_cast<double>(
                   uniform_between(recipe, generator, static_cast<float>(t.scale[0]), static_cast<float>(t.scale[1])));
    const float log_aspect = uniform_between(recipe, generator, t.log_ratio[0], t.log_ratio[1]);
    double aspect = static_cast<double>(static_cast<float>(std::exp(static_cast<double>(log_aspect))));
    double w_exact = std::sqrt(target_area * aspect);
    double h_exact = std::sqrt(target_area / aspect);
    if (recipe.torch_exp != nullptr && (near_half(w_exact) || near_half(h_exact))) {
      aspect = static_cast<double>(recipe.torch_exp(log_aspect));
      w_exact = std::sqrt(target_area * aspect);
      h_exact = std::sqrt(target_area / aspect);
    }
    const int32_t w = round_half_even(w_exact);
    const int32_t h = round_half_even(h_exact);
    if (0 < w && w <= width && 0 < h && h <= height) {
      const auto y = static_cast<int32_t>(generator.below(static_cast<uint32_t>(height - h + 1)));
      const auto x = static_cast<int32_t>(generator.below(static_cast<uint32_t>(width - w + 1)));
      return {x, y, w, h};
    }
  }
  const double in_ratio = static_cast<double>(width) / static_cast<double>(height);
  const double low = std::fmin(t.ratio[0], t.ratio[1]);
  const double high = std::fmax(t.ratio[0], t.ratio[1]);
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

// torchvision's _compute_resized_output_size: the long side is truncated, not rounded.
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

Status center_crop(const Transform& t, PlanBuilder& plan) {
  const int32_t dx = t.width - plan.width();
  const int32_t dy = t.height - plan.height();
  if (dx > 0 || dy > 0) {
    const int32_t x = dx > 0 ? dx : 0;
    const int32_t y = dy > 0 ? dy : 0;
    plan.pad(x / 2, y / 2, (x + 1) / 2, (y + 1) / 2, image::PadMode::constant, kBlack);
    if (plan.width() == t.width && plan.height() == t.height) return {};
  }
  const int32_t top = round_half_even((plan.height() - t.height) / 2.0);
  const int32_t left = round_half_even((plan.width() - t.width) / 2.0);
  plan.crop({left, top, t.width, t.height});
  return {};
}

Status random_crop_v1(const Transform& t, random::Generator& generator, PlanBuilder& plan) {
  if (t.padded) plan.pad(t.padding[0], t.padding[1], t.padding[2], t.padding[3], t.pad_mode, t.fill);
  if (t.pad_if_needed && plan.width() < t.width) {
    const int32_t missing = t.width - plan.width();
    plan.pad(missing, 0, missing, 0, t.pad_mode, t.fill);
  }
  if (t.pad_if_needed && plan.height() < t.height) {
    const int32_t missing = t.height - plan.height();
    plan.pad(0, missing, 0, missing, t.pad_mode, t.fill);
  }
  if (plan.height() < t.height || plan.width() < t.width) return {Code::transform, "crop larger than the image"};
  if (plan.width() == t.width && plan.height() == t.height) return {};
  const auto y = static_cast<int32_t>(generator.below(static_cast<uint32_t>(plan.height() - t.height + 1)));
  const auto x = static_cast<int32_t>(generator.below(static_cast<uint32_t>(plan.width() - t.width + 1)));
  plan.crop({x, y, t.width, t.height});
  return {};
}

Status random_crop_v2(const Transform& t, random::Generator& generator, PlanBuilder& plan) {
  int64_t padding[4] = {t.padding[0], t.padding[1], t.padding[2], t.padding[3]};
  int64_t width = int64_t{plan.width()} + padding[0] + padding[2];
  int64_t height = int64_t{plan.height()} + padding[1] + padding[3];
  if (t.pad_if_needed && height < t.height) {
    const int64_t missing = t.height - height;
    padding[1] += missing;
    padding[3] += missing;
    height += 2 * missing;
  }
  if (t.pad_if_needed && width < t.width) {
    const int64_t missing = t.width - width;
    padding[0] += missing;
    padding[2] += missing;
    width += 2 * missing;
  }
  if (height < t.height || width < t.width) return {Code::transform, "crop larger than the image"};
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (height > kMost || width > kMost) return {Code::transform, "padded to an impossible size"};
  const bool pads = padding[0] != 0 || padding[1] != 0 || padding[2] != 0 || padding[3] != 0;
  int32_t y = 0;
  int32_t x = 0;
  if (height > t.height) y = static_cast<int32_t>(generator.below(static_cast<uint32_t>(height - t.height + 1)));
  if (width > t.width) x = static_cast<int32_t>(generator.below(static_cast<uint32_t>(width - t.width + 1)));
  if (pads) plan.pad(padding[0], padding[1], padding[2], padding[3], t.pad_mode, t.fill);
  plan.crop({x, y, t.width, t.height});
  return {};
}

Status apply(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  switch (t.kind) {
    case Kind::random_resized_crop: {
      const Box crop = random_resized_crop(t, recipe, generator, plan.width(), plan.height());
      if (crop.width == 0 || crop.height == 0) {
        plan.blacken(t.width, t.height);
      } else {
        plan.crop(crop);
        plan.resize(t.width, t.height, t.filter, recipe.vertical_first);
      }
      return {};
    }
    case Kind::resize: {
      int32_t width = 0;
      int32_t height = 0;
      resized_size(t, plan.width(), plan.height(), &width, &height);
      if (width < 1 || height < 1) return {Code::transform, "resized to nothing"};
      plan.resize(width, height, t.filter, recipe.vertical_first);
      return {};
    }
    case Kind::center_crop: return center_crop(t, plan);
    case Kind::random_crop: return t.v2 ? random_crop_v2(t, generator, plan) : random_crop_v1(t, generator, plan);
    case Kind::random_horizontal_flip:
      if (generator.uniform() < t.p) plan.flip(StepKind::flip_horizontal);
      return {};
    case Kind::random_vertical_flip:
      if (generator.uniform() < t.p) plan.flip(StepKind::flip_vertical);
      return {};
    case Kind::random_grayscale:
      if (!(generator.uniform() < t.p)) return {};
      plan.grayscale();
      return {};
    case Kind::grayscale: plan.grayscale(); return {};
    case Kind::pad: plan.pad(t.padding[0], t.padding[1], t.padding[2], t.padding[3], t.pad_mode, t.fill); return {};
  }
  return {Code::transform, "unknown transform"};
}

}  // namespace

Status draw(const Recipe& recipe, random::Generator& generator, int32_t width, int32_t height, Plan* plan) {
  PlanBuilder builder(width, height, plan);
  for (const Transform& t : recipe.transforms) {
    const Status status = apply(t, recipe, generator, builder);
    if (!status.ok()) return status;
  }
  return builder.finish();
}

}  // namespace fastload::recipe
