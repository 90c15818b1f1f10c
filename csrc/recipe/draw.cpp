#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "random/streams.h"
#include "recipe/draw_geometry.h"
#include "recipe/aug_mix.h"
#include "recipe/draw_erasing.h"
#include "recipe/draws.h"
#include "recipe/plan.h"
#include "recipe/policy.h"
#include "recipe/recipe.h"
#include "recipe/timm.h"

namespace fastload::recipe {

namespace {

Box random_resized_crop(const Transform& t, const Recipe& recipe, random::Generator& generator, int32_t width,
                        int32_t height) {
  const double area = static_cast<double>(static_cast<int64_t>(height) * width);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target_area =
        area * static_cast<double>(
                   uniform_between(recipe, generator, static_cast<float>(t.scale[0]), static_cast<float>(t.scale[1])));
    const float log_aspect = uniform_between(recipe, generator, t.log_ratio[0], t.log_ratio[1]);
    const Sides sides = sides_of(recipe, target_area, log_aspect);
    const int32_t w = round_half_even(sides.product);
    const int32_t h = round_half_even(sides.quotient);
    if (0 < w && w <= width && 0 < h && h <= height) {
      const auto y = static_cast<int32_t>(generator.below(static_cast<uint32_t>(height - h + 1)));
      const auto x = static_cast<int32_t>(generator.below(static_cast<uint32_t>(width - w + 1)));
      return {x, y, w, h};
    }
  }
  return central_window(t.ratio, width, height);
}

Status center_crop(const Transform& t, PlanBuilder& plan) {
  const int32_t dx = t.width - plan.width();
  const int32_t dy = t.height - plan.height();
  if (dx > 0 || dy > 0) {
    const int32_t x = dx > 0 ? dx : 0;
    const int32_t y = dy > 0 ? dy : 0;
    plan.pad(x / 2, y / 2, (x + 1) / 2, (y + 1) / 2, t.pad_mode, t.fill);
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

// How torchvision adjusts brightness, contrast, saturation and hue; in this order.
constexpr image::Change kAdjusted[4] = {image::Change::brightness, image::Change::contrast, image::Change::saturation,
                                        image::Change::hue};

void adjust(int which, float factor, PlanBuilder& plan) {
  image::Recolour recolour;
  recolour.change = kAdjusted[which];
  recolour.factor = factor;
  // At most half of the circle, cut to an integer.
  if (recolour.change == image::Change::hue) recolour.level = static_cast<int32_t>(static_cast<double>(factor) * 255) & 255;
  plan.recolour(recolour);
}

void color_jitter(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  uint8_t order[4];
  random_permutation(generator, 4, order);
  float factors[4] = {};
  for (int i = 0; i < 4; ++i) {
    if (t.varies[i]) factors[i] = uniform_between(recipe, generator, t.least[i], t.most[i]);
  }
  for (const uint8_t which : order) {
    if (t.varies[which]) adjust(which, factors[which], plan);
  }
}

void permute_channels(const Transform& t, random::Generator& generator, PlanBuilder& plan) {
  if (t.is_gray) return;  // a permutation of one draws nothing
  image::Recolour recolour;
  recolour.change = image::Change::channels;
  random_permutation(generator, 3, recolour.order);
  plan.recolour(recolour);
}

void photometric_distort(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  constexpr int kContrast = 1;
  bool is_done[4];
  float factors[4] = {};
  for (int i = 0; i < 4; ++i) {
    is_done[i] = generator.uniform() < t.p;
    if (is_done[i]) factors[i] = uniform_between(recipe, generator, t.least[i], t.most[i]);
  }
  const bool contrast_first = generator.uniform() < 0.5f;
  for (const int which : {0, contrast_first ? kContrast : -1, 2, 3, contrast_first ? -1 : kContrast}) {
    if (which >= 0 && is_done[which]) adjust(which, factors[which], plan);
  }
  if (generator.uniform() < t.p) permute_channels(t, generator, plan);
}

Status gaussian_blur(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  image::GaussianBlur blur = t.blur;
  blur.sigma = uniform_between(recipe, generator, t.least[0], t.most[0]);
  if (plan.width() <= blur.width / 2 || plan.height() <= blur.height / 2) return {Code::transform, "too small to be reflected so far"};
  plan.blur(blur);
  return {};
}

// Of a container, as the stream that it draws from compares it.
double drawn_for(const Transform& t, random::Generator& generator) {
  if (t.draws_python) return generator.python().random();
  return t.draws_numpy ? generator.numpy().random_sample() : static_cast<double>(generator.uniform());
}

void pillow_blur(const Transform& t, random::Generator& generator, PlanBuilder& plan) {
  double radius = t.scale[0];
  if (t.draws_python || t.draws_numpy) radius += (t.scale[1] - t.scale[0]) * drawn_for(t, generator);
  if (radius != 0) plan.blur(image::BoxBlur{static_cast<float>(radius), static_cast<float>(radius)});
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
    case Kind::random_recolour:
      if (generator.uniform() < t.p) plan.recolour(t.recolour);
      return {};
    case Kind::color_jitter: color_jitter(t, recipe, generator, plan); return {};
    case Kind::photometric_distort: photometric_distort(t, recipe, generator, plan); return {};
    case Kind::gaussian_blur: return gaussian_blur(t, recipe, generator, plan);
    case Kind::pillow_blur: pillow_blur(t, generator, plan); return {};
    case Kind::recolour: plan.recolour(t.recolour); return {};
    case Kind::permute_channels: permute_channels(t, generator, plan); return {};
    case Kind::random_rotation:
    case Kind::random_affine:
    case Kind::random_perspective:
    case Kind::random_zoom_out:
    case Kind::scale_jitter:
    case Kind::random_shortest_size:
    case Kind::random_resize: return draw_geometry(t, recipe, generator, plan);
    case Kind::timm_crop_and_resize: return timm_crop_and_resize(t, recipe, generator, plan);
    case Kind::timm_resize_keep_ratio: return timm_resize_keep_ratio(t, recipe, generator, plan);
    case Kind::timm_crop_or_pad: return timm_crop_or_pad(t, generator, plan);
    case Kind::timm_augment: return augment(*t.augments, generator, plan);
    case Kind::aug_mix:
      if (t.aug_mix == nullptr) return {Code::transform, "no AugMix"};
      return apply(*t.aug_mix, recipe, generator, plan);
    case Kind::policy:
      if (t.policy == nullptr) return {Code::transform, "no policy"};
      apply(*t.policy, recipe, generator, plan);
      return {};
    case Kind::random_erasing: random_erasing(t, recipe, generator, plan); return {};
    case Kind::timm_erasing: timm_erasing(t, recipe, generator, plan); return {};
    case Kind::random_apply:
    case Kind::random_order:
    case Kind::random_choice:
    case Kind::group: break;  // see apply_all()
  }
  return {Code::transform, "unknown transform"};
}

// Which of the groups behind a random_choice is done.
size_t choose(const Transform& t, const Recipe& recipe, random::Generator& generator) {
  if (t.draws_python) {
    random::Python python = generator.python();
    return t.weights.empty() ? python.choices(static_cast<uint32_t>(t.count)) : python.choices(t.weights);
  }
  auto* const streams = dynamic_cast<random::Streams*>(&generator);
  if (streams != nullptr) return static_cast<size_t>(recipe.torch_multinomial(t.weights, &streams->torch));
  double sum = 0;  // draws by index are nobody's but ours
  for (const double weight : t.weights) sum += weight;
  double wanted = static_cast<double>(generator.uniform()) * sum;
  size_t last = 0;
  for (size_t i = 0; i < t.weights.size(); ++i) {
    if (t.weights[i] <= 0) continue;
    last = i;
    if (wanted < t.weights[i]) break;
    wanted -= t.weights[i];
  }
  return last;
}

// Transforms [first, end), with what containers do to those behind them.
Status apply_all(const Recipe& recipe, size_t first, size_t end, random::Generator& generator, PlanBuilder& plan) {
  for (size_t i = first; i < end; ++i) {
    const Transform& t = recipe.transforms[i];
    const auto count = static_cast<size_t>(t.count);
    Status status;
    if (t.kind == Kind::random_apply) {
      const double drawn = drawn_for(t, generator);
      if (drawn < t.p || (t.p_inclusive && drawn == t.p)) continue;
      i += count;
    } else if (t.kind == Kind::random_order || t.kind == Kind::random_choice) {
      std::vector<size_t> groups;
      size_t behind = i + 1;
      for (size_t group = 0; group < count; ++group) {
        groups.push_back(behind);
        behind += 1 + static_cast<size_t>(recipe.transforms[behind].count);
      }
      std::vector<uint8_t> order(count);
      if (t.kind == Kind::random_choice) {
        order.assign(1, static_cast<uint8_t>(choose(t, recipe, generator)));
      } else if (t.draws_python) {
        std::iota(order.begin(), order.end(), uint8_t{0});
        generator.python().shuffle(order.data(), t.count);
      } else {
        random_permutation(generator, t.count, order.data());
      }
      for (const uint8_t which : order) {
        const size_t group = groups[which];
        status = apply_all(recipe, group + 1, group + 1 + static_cast<size_t>(recipe.transforms[group].count), generator, plan);
        if (!status.ok()) return status;
      }
      i = behind - 1;
    } else {
      plan.count_to(t.stage);
      status = apply(t, recipe, generator, plan);
    }
    if (!status.ok()) return status;
  }
  return {};
}

void note(const Noted& noted, VerticalFirst order, PlanBuilder& plan) {
  switch (noted.kind) {
    case StepKind::crop: plan.crop(noted.box); break;
    case StepKind::resize: plan.resize(noted.box.width, noted.box.height, noted.filter, order, noted.part); break;
    case StepKind::flip_horizontal:
    case StepKind::flip_vertical: plan.flip(noted.kind); break;
    case StepKind::transpose: plan.transpose(); break;
    case StepKind::grayscale: plan.grayscale(); break;
    case StepKind::box_blur: plan.blur(noted.box_blur); break;
    case StepKind::recolour: plan.recolour(noted.recolour); break;
    case StepKind::gaussian_blur:
    case StepKind::pad:
    case StepKind::warp:
    case StepKind::mix: break;
  }
}

}  // namespace

Status draw(const Recipe& recipe, random::Generator& generator, int32_t width, int32_t height, Plan* plan,
            const std::vector<Noted>& before) {
  PlanBuilder builder(width, height, plan);
  for (const Noted& noted : before) note(noted, recipe.vertical_first, builder);
  const Status status = apply_all(recipe, 0, recipe.transforms.size(), generator, builder);
  return status.ok() ? builder.finish() : status;
}

}  // namespace fastload::recipe
