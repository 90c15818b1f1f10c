#include "recipe/timm.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "random/generator.h"
#include "recipe/draws.h"
#include "recipe/warps.h"

namespace fastload::recipe {

namespace {

constexpr double kDenominator = 10.0;

double randomly_negate(random::Python& python, double value) { return python.random() > 0.5 ? -value : value; }

image::Filter filter_of(const std::vector<image::Filter>& filters, bool draws, random::Generator& generator) {
  return draws ? filters[generator.python().below(static_cast<uint32_t>(filters.size()))] : filters.front();
}

void recolour(PlanBuilder& plan, image::Change change, double factor, int32_t level = 0) {
  image::Recolour made;
  made.change = change;
  made.factor = static_cast<float>(factor);
  made.level = level;
  plan.recolour(made);
}

// The factor of ImageEnhance.
double enhancement(const Augment& op, double level, random::Python& python) {
  if (!op.is_increasing) return level * 1.8 + 0.1;
  const double change = 1.0 + randomly_negate(python, level * .9);
  return 0.1 < change ? change : 0.1;
}

int32_t posterized_bits(const Augment& op, double level) {
  const auto bits = static_cast<int32_t>(level * 4);
  return op.is_original ? bits + 4 : op.is_increasing ? 4 - bits : bits;
}

Status posterize(const Augment& op, double level, PlanBuilder& plan) {
  const int32_t bits = posterized_bits(op, level);
  if (bits >= 8) return {};
  if (bits < op.least_bits) return {Code::transform, "bits must be between or equal to 1 and 8"};
  recolour(plan, image::Change::posterize, 1, bits > 0 ? 256 - (1 << (8 - bits)) : 0);
  return {};
}

void solarize(const Augment& op, double level, PlanBuilder& plan) {
  const int32_t threshold = std::min(256, static_cast<int32_t>(level * 256));
  recolour(plan, image::Change::solarize, 1, op.is_increasing ? 256 - threshold : threshold);
}

// timm's _minmax_level_to_arg.
double within(const Augment& op, double level) {
  return std::max(op.least, std::min(op.most, op.least + (op.most - op.least) * level));
}

void desaturate(const Augment& op, double level, PlanBuilder& plan) {
  recolour(plan, image::Change::saturation, std::min(1.0, std::max(0.0, 1.0 - within(op, level))));
}

void blur(double radius, PlanBuilder& plan) {
  if (radius != 0) plan.blur(image::BoxBlur{static_cast<float>(radius), static_cast<float>(radius)});
}

// Operations that move pixels; each negates its argument at times, and then draws a filter.
void move(const Augment& op, double level, random::Generator& generator, PlanBuilder& plan) {
  using Kind = Augment::Kind;
  const bool shears = op.kind == Kind::shear_x || op.kind == Kind::shear_y;
  random::Python python = generator.python();
  const double by = randomly_negate(python, level * (op.kind == Kind::rotate ? 30. : shears ? 0.3 : op.reach));
  WarpStyle style;
  style.filter = filter_of(op.filters, op.draws_filter, generator);
  std::copy_n(op.fill, 3, style.fill);
  double matrix[6] = {1, 0, 0, 0, 1, 0};
  switch (op.kind) {
    case Kind::rotate: rotate(plan, by, false, style); return;
    case Kind::shear_x: matrix[1] = by; break;
    case Kind::shear_y: matrix[3] = by; break;
    case Kind::translate_x: matrix[2] = by; break;
    case Kind::translate_y: matrix[5] = by; break;
    case Kind::translate_x_rel: matrix[2] = by * plan.width(); break;
    case Kind::translate_y_rel: matrix[5] = by * plan.height(); break;
    default: return;
  }
  transform(plan, matrix, style);
}

Status apply(const Augment& op, random::Generator& generator, PlanBuilder& plan) {
  using Kind = Augment::Kind;
  using image::Change;
  random::Python python = generator.python();
  if (op.p < 1.0 && python.random() > op.p) return {};
  double magnitude = op.magnitude;
  if (op.std > 0) magnitude = std::isinf(op.std) ? python.uniform(0, magnitude) : python.gauss(magnitude, op.std);
  const double level = std::max(0., std::min(magnitude, op.most_magnitude)) / kDenominator;
  switch (op.kind) {
    case Kind::autocontrast: recolour(plan, Change::autocontrast, 1); break;
    case Kind::equalize: recolour(plan, Change::equalize, 1); break;
    case Kind::invert: recolour(plan, Change::solarize, 1); break;
    case Kind::posterize: return posterize(op, level, plan);
    case Kind::solarize: solarize(op, level, plan); break;
    case Kind::solarize_add: recolour(plan, Change::brighten_dark, 1, std::min(128, static_cast<int32_t>(level * 110))); break;
    case Kind::color: recolour(plan, Change::saturation, enhancement(op, level, python)); break;
    case Kind::contrast: recolour(plan, Change::contrast, enhancement(op, level, python)); break;
    case Kind::brightness: recolour(plan, Change::brightness, enhancement(op, level, python)); break;
    case Kind::sharpness: recolour(plan, Change::sharpness, enhancement(op, level, python)); break;
    case Kind::desaturate: desaturate(op, level, plan); break;
    case Kind::gaussian_blur: blur(within(op, level), plan); break;
    case Kind::gaussian_blur_rand: blur(python.uniform(0.1, 2.0 * within(op, level)), plan); break;
    default: move(op, level, generator, plan);
  }
  return {};
}

Box crop_of(const Transform& t, random::Python& python, int32_t width, int32_t height) {
  const double area = static_cast<double>(int64_t{width} * height);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target_area = python.uniform(t.scale[0], t.scale[1]) * area;
    const double aspect = std::exp(python.uniform(t.log_ratio_in_double[0], t.log_ratio_in_double[1]));
    const int32_t w = round_half_even(std::sqrt(target_area * aspect));
    const int32_t h = round_half_even(std::sqrt(target_area / aspect));
    if (w <= width && h <= height) {
      const auto y = static_cast<int32_t>(python.below(static_cast<uint32_t>(height - h + 1)));
      const auto x = static_cast<int32_t>(python.below(static_cast<uint32_t>(width - w + 1)));
      return {x, y, w, h};
    }
  }
  return central_window(t.ratio, width, height);
}

}  // namespace

Status augment(const AugmentPolicy& policy, random::Generator& generator, PlanBuilder& plan) {
  const auto count = static_cast<uint32_t>(policy.choices.size());
  if (policy.is_auto) {
    for (const Augment& op : policy.choices[generator.python().below(count)]) {
      const Status status = apply(op, generator, plan);
      if (!status.ok()) return status;
    }
    return {};
  }
  std::vector<int> chosen(static_cast<size_t>(policy.layers));
  if (policy.p.empty()) {
    for (int& which : chosen) which = static_cast<int>(generator.numpy().below(count));
  } else {
    generator.numpy().choose_distinct(policy.p, policy.layers, chosen.data());
  }
  for (const int which : chosen) {
    const Status status = apply(policy.choices[static_cast<size_t>(which)].front(), generator, plan);
    if (!status.ok()) return status;
  }
  return {};
}

Status timm_crop_and_resize(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  random::Python python = generator.python();
  const Box crop = crop_of(t, python, plan.width(), plan.height());
  const image::Filter filter = filter_of(t.filters, t.draws_filter, generator);
  if (crop.width == 0 || crop.height == 0) {
    plan.blacken(t.width, t.height);
  } else {
    plan.crop(crop);
    plan.resize(t.width, t.height, filter, recipe.vertical_first);
  }
  return {};
}

Status timm_resize_keep_ratio(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  const double ratio_h = static_cast<double>(plan.height()) / t.height;
  const double ratio_w = static_cast<double>(plan.width()) / t.width;
  const double ratio = std::max(ratio_h, ratio_w) * t.longest + std::min(ratio_h, ratio_w) * (1. - t.longest);
  double factor_h = 1.;
  double factor_w = 1.;
  if (t.p > 0 && generator.python().random() < t.p) {
    factor_h = generator.python().uniform(t.scale[0], t.scale[1]);
    if (t.by_area) factor_h = 1. / std::sqrt(factor_h);
    factor_w = factor_h;
  }
  if (t.aspect_p > 0 && generator.python().random() < t.aspect_p) {
    const double log_aspect = generator.python().uniform(t.log_ratio_in_double[0], t.log_ratio_in_double[1]);
    const double aspect = std::sqrt(std::exp(log_aspect));
    factor_h /= aspect;
    factor_w *= aspect;
  }
  const int32_t height = round_half_even(plan.height() * factor_h / ratio);
  const int32_t width = round_half_even(plan.width() * factor_w / ratio);
  const image::Filter filter = filter_of(t.filters, t.draws_filter, generator);
  if (width < 1 || height < 1) return {Code::transform, "resized to nothing"};
  plan.resize(width, height, filter, recipe.vertical_first);
  return {};
}

Status timm_crop_or_pad(const Transform& t, random::Generator& generator, PlanBuilder& plan) {
  random::Python python = generator.python();
  const auto place = [&python](int32_t side, int32_t wanted) {
    const auto drawn = static_cast<int32_t>(python.below(static_cast<uint32_t>(std::abs(side - wanted)) + 1));
    return side < wanted ? -drawn : drawn;
  };
  const int32_t width = plan.width();
  const int32_t height = plan.height();
  const int32_t top = place(height, t.height);
  const int32_t left = place(width, t.width);
  const int32_t right = left + t.width;
  const int32_t bottom = top + t.height;
  if (left < 0 || top < 0 || right > width || bottom > height) {
    plan.pad(std::max(-left, 0), std::max(-top, 0), std::max(right - width, 0), std::max(bottom - height, 0), t.pad_mode, t.fill);
  }
  plan.crop({std::max(left, 0), std::max(top, 0), t.width, t.height});
  return {};
}

}  // namespace fastload::recipe
