#include "recipe/plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace fastload::recipe {

namespace {

// Largest image that a plan may hold on the way, in pixels; Pillow would run out of memory long before.
constexpr int64_t kMaxPixels = (int64_t{1} << 31) - 1;

// What a step needs of its input for `want` of its output.
Box needed(const Step& step, Box want) {
  switch (step.kind) {
    case StepKind::crop: return {want.x + step.x, want.y + step.y, want.width, want.height};
    case StepKind::resize: return image::needed_input(resize_of(step, want));
    case StepKind::flip_horizontal: return {step.in_width - want.x - want.width, want.y, want.width, want.height};
    case StepKind::flip_vertical: return {want.x, step.in_height - want.y - want.height, want.width, want.height};
    case StepKind::transpose: return {want.y, want.x, want.height, want.width};
    case StepKind::grayscale: return want;
    case StepKind::recolour:
      if (image::depends_on_all(step.recolour.change)) return {0, 0, step.in_width, step.in_height};
      if (step.recolour.change != image::Change::sharpness) return want;
      return image::sharpening_needs(want, step.in_width, step.in_height);
    case StepKind::gaussian_blur: return image::blur_needs(step.blur, want, step.in_width, step.in_height);
    case StepKind::box_blur: return image::box_blur_needs(step.box_blur, want, step.in_width, step.in_height);
    case StepKind::mix:
    case StepKind::pad: return {0, 0, step.in_width, step.in_height};
    case StepKind::warp: {
      image::Warp warp = step.warp;
      warp.region = want;
      return image::needed_input(warp);
    }
  }
  return want;
}

bool is_vertical_first(VerticalFirst order, int64_t in_width, int64_t in_height, int64_t out_width,
                       int64_t out_height) {
  if (out_height >= in_height) return false;
  switch (order) {
    case VerticalFirst::never: return false;
    case VerticalFirst::very_tall: return in_height > 100 * in_width;
    case VerticalFirst::much_shorter: return in_height - out_height > 2 * (in_width - out_width);
  }
  return false;
}

}  // namespace

VerticalFirst vertical_first_of(int major, int minor) {
  if (major >= 13) return VerticalFirst::much_shorter;
  return major == 12 && minor >= 2 ? VerticalFirst::very_tall : VerticalFirst::never;
}

PlanBuilder::PlanBuilder(int32_t width, int32_t height, Plan* plan)
    : plan_(plan), image_width_(width), image_height_(height) {
  *plan = Plan{};
  plan->width = plan->image_width = width;
  plan->height = plan->image_height = height;
}

Step* PlanBuilder::append(StepKind kind, int64_t out_width, int64_t out_height) {
  const bool is_flip = kind == StepKind::flip_horizontal || kind == StepKind::flip_vertical;
  if (!plan_->erasures.empty() && !is_flip && kind != StepKind::crop) refused_ = true;
  if (plan_->count == kMaxSteps) {
    overflow_ = true;
    --plan_->count;
  }
  if (out_width < 1 || out_height < 1 || out_width > kMaxPixels || out_height > kMaxPixels / out_width) {
    refused_ = true;
    out_width = out_height = 1;
  }
  Step& step = plan_->steps[plan_->count++];
  step = Step{};
  step.kind = kind;
  step.stage = stage_;
  step.in_width = plan_->width;
  step.in_height = plan_->height;
  step.out_width = plan_->width = static_cast<int32_t>(out_width);
  step.out_height = plan_->height = static_cast<int32_t>(out_height);
  return &step;
}

void PlanBuilder::crop(Box box) {
  if (box == Box{0, 0, plan_->width, plan_->height}) return;
  const bool inside =
      box.x >= 0 && box.y >= 0 && box.width <= plan_->width - box.x && box.height <= plan_->height - box.y;
  if (!inside) refused_ = true;
  for (Erasure& erasure : plan_->erasures) {
    erasure.box.x -= box.x;
    erasure.box.y -= box.y;
  }
  Step* step = append(StepKind::crop, box.width, box.height);
  step->x = box.x;
  step->y = box.y;
}

void PlanBuilder::resize(int32_t width, int32_t height, image::Filter filter, VerticalFirst order, const image::Part& part) {
  image::Part rest = part;
  if (part.is_whole() && width == plan_->width && height == plan_->height) return;
  if (filter != image::Filter::nearest && is_vertical_first(order, plan_->width, plan_->height, width, height)) {
    const auto whole_width = static_cast<float>(plan_->width);
    Step* const step = append(StepKind::resize, plan_->width, height);
    step->filter = filter;
    if (!part.is_whole()) {
      step->part = {0, part.top, whole_width, part.bottom};
      rest = {part.left, 0, part.right, static_cast<float>(height)};
    }
    if (width == plan_->width && (rest.is_whole() || (rest.left == 0 && rest.right == whole_width))) return;
  }
  Step* const step = append(StepKind::resize, width, height);
  step->filter = filter;
  step->part = rest;
}

void PlanBuilder::flip(StepKind kind) {
  for (Erasure& erasure : plan_->erasures) {
    Box& box = erasure.box;
    if (kind == StepKind::flip_horizontal) {
      box.x = plan_->width - box.x - box.width;
      erasure.flipped_horizontal = !erasure.flipped_horizontal;
    } else {
      box.y = plan_->height - box.y - box.height;
      erasure.flipped_vertical = !erasure.flipped_vertical;
    }
  }
  append(kind, plan_->width, plan_->height);
}

void PlanBuilder::mix(std::shared_ptr<const image::Mix> mix) {
  append(StepKind::mix, plan_->width, plan_->height)->mix = static_cast<int32_t>(plan_->mixes.size());
  plan_->mixes.push_back(std::move(mix));
}

void PlanBuilder::erase(Erasure erasure) {
  erasure.stage = stage_;
  plan_->erasures.push_back(std::move(erasure));
}

void PlanBuilder::transpose() { append(StepKind::transpose, plan_->height, plan_->width); }

void PlanBuilder::grayscale() { append(StepKind::grayscale, plan_->width, plan_->height); }

void PlanBuilder::recolour(const image::Recolour& recolour) {
  append(StepKind::recolour, plan_->width, plan_->height)->recolour = recolour;
}

void PlanBuilder::blur(const image::GaussianBlur& blur) {
  append(StepKind::gaussian_blur, plan_->width, plan_->height)->blur = blur;
}

void PlanBuilder::blur(const image::BoxBlur& blur) { append(StepKind::box_blur, plan_->width, plan_->height)->box_blur = blur; }

void PlanBuilder::blacken(int32_t width, int32_t height) {
  static constexpr uint8_t kBlack[3] = {0, 0, 0};
  paint(width, height, kBlack);
}

void PlanBuilder::paint(int64_t width, int64_t height, const uint8_t fill[3]) {
  crop({0, 0, 1, 1});
  pad(0, 0, width, height, image::PadMode::constant, fill);
  crop({1, 1, static_cast<int32_t>(width), static_cast<int32_t>(height)});
}

void PlanBuilder::pad(int64_t left, int64_t top, int64_t right, int64_t bottom, image::PadMode mode,
                      const uint8_t fill[3]) {
  if (left == 0 && top == 0 && right == 0 && bottom == 0) return;
  const auto cut = [](int64_t side) { return std::max<int64_t>(-side, 0); };
  const auto added = [](int64_t side) { return std::max<int64_t>(side, 0); };
  const int64_t width = plan_->width - cut(left) - cut(right);
  const int64_t height = plan_->height - cut(top) - cut(bottom);
  if (width < 1 || height < 1) {
    const int64_t out_width = plan_->width + left + right;
    const int64_t out_height = plan_->height + top + bottom;
    if (mode != image::PadMode::constant || out_width < 1 || out_height < 1 || out_width > kMaxPixels || out_height > kMaxPixels) {
      refused_ = true;
    } else {
      paint(out_width, out_height, fill);
    }
    return;
  }
  crop({static_cast<int32_t>(cut(left)), static_cast<int32_t>(cut(top)), static_cast<int32_t>(width), static_cast<int32_t>(height)});
  if (added(left) == 0 && added(top) == 0 && added(right) == 0 && added(bottom) == 0) return;
  Step* step = append(StepKind::pad, width + added(left) + added(right), height + added(top) + added(bottom));
  step->x = static_cast<int32_t>(added(left));
  step->y = static_cast<int32_t>(added(top));
  step->pad_mode = mode;
  for (int c = 0; c < 3; ++c) step->fill[c] = fill[c];
}

void PlanBuilder::warp(const image::Warp& warp, double width, double height) {
  bool is_sound = width >= 1 && width <= kMaxPixels && height >= 1 && height <= kMaxPixels;
  for (const double number : warp.by) is_sound = is_sound && std::fabs(number) < 1e100;
  if (!is_sound) refused_ = true;
  Step* step = append(StepKind::warp, is_sound ? static_cast<int64_t>(width) : 1, is_sound ? static_cast<int64_t>(height) : 1);
  step->warp = warp;
  step->warp.in_width = step->in_width;
  step->warp.in_height = step->in_height;
  step->warp.out_width = step->out_width;
  step->warp.out_height = step->out_height;
}

// A mirrored image's colours change as the image's own do.
void PlanBuilder::take_out_flips() {
  int first = plan_->count;
  while (first > 0) {
    const StepKind kind = plan_->steps[first - 1].kind;
    const bool is_flip = kind == StepKind::flip_horizontal || kind == StepKind::flip_vertical;
    if (!is_flip && kind != StepKind::recolour && kind != StepKind::grayscale) break;
    --first;
  }
  int kept = first;
  for (int i = first; i < plan_->count; ++i) {
    const StepKind kind = plan_->steps[i].kind;
    if (kind == StepKind::flip_horizontal) {
      plan_->flip_horizontal = !plan_->flip_horizontal;
    } else if (kind == StepKind::flip_vertical) {
      plan_->flip_vertical = !plan_->flip_vertical;
    } else {
      plan_->steps[kept++] = plan_->steps[i];
    }
  }
  plan_->count = kept;
}

Status PlanBuilder::finish() {
  if (overflow_) return {Code::transform, "more transforms than a plan holds"};
  if (refused_) return {Code::transform, "a transform gives an image of impossible size"};
  take_out_flips();
  Box wanted = {0, 0, plan_->width, plan_->height};
  for (int i = plan_->count - 1; i >= 0; --i) {
    Step& step = plan_->steps[i];
    step.want = wanted;
    step.need = wanted = needed(step, wanted);
  }
  plan_->window = wanted;
  return {};
}

}  // namespace fastload::recipe
