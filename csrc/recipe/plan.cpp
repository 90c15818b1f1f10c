#include "recipe/plan.h"

namespace fastload::recipe {

namespace {

// Largest image that a plan may hold on the way, in pixels; Pillow would run out of memory long before.
constexpr int64_t kMaxPixels = (int64_t{1} << 31) - 1;

// What a step needs of its input for `want` of its output.
Box needed(const Step& step, Box want) {
  switch (step.kind) {
    case StepKind::crop: return {want.x + step.x, want.y + step.y, want.width, want.height};
    case StepKind::resize: {
      image::Resize resize;
      resize.in_width = step.in_width;
      resize.in_height = step.in_height;
      resize.out_width = step.out_width;
      resize.out_height = step.out_height;
      resize.filter = step.filter;
      resize.region = want;
      return image::needed_input(resize);
    }
    case StepKind::flip_horizontal: return {step.in_width - want.x - want.width, want.y, want.width, want.height};
    case StepKind::flip_vertical: return {want.x, step.in_height - want.y - want.height, want.width, want.height};
    case StepKind::grayscale: return want;
    case StepKind::pad: return {0, 0, step.in_width, step.in_height};
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

PlanBuilder::PlanBuilder(int32_t width, int32_t height, Plan* plan)
    : plan_(plan), image_width_(width), image_height_(height) {
  *plan = Plan{};
  plan->width = plan->image_width = width;
  plan->height = plan->image_height = height;
}

Step* PlanBuilder::append(StepKind kind, int64_t out_width, int64_t out_height) {
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
  Step* step = append(StepKind::crop, box.width, box.height);
  step->x = box.x;
  step->y = box.y;
}

void PlanBuilder::resize(int32_t width, int32_t height, image::Filter filter, VerticalFirst order) {
  if (width == plan_->width && height == plan_->height) return;
  if (filter != image::Filter::nearest && is_vertical_first(order, plan_->width, plan_->height, width, height)) {
    append(StepKind::resize, plan_->width, height)->filter = filter;
    if (width == plan_->width) return;
  }
  append(StepKind::resize, width, height)->filter = filter;
}

void PlanBuilder::flip(StepKind kind) { append(kind, plan_->width, plan_->height); }

void PlanBuilder::grayscale() { append(StepKind::grayscale, plan_->width, plan_->height); }

void PlanBuilder::blacken(int32_t width, int32_t height) {
  static constexpr uint8_t kBlack[3] = {0, 0, 0};
  crop({0, 0, 1, 1});
  pad(0, 0, width, height, image::PadMode::constant, kBlack);
  crop({1, 1, width, height});
}

void PlanBuilder::pad(int64_t left, int64_t top, int64_t right, int64_t bottom, image::PadMode mode,
                      const uint8_t fill[3]) {
  if (left == 0 && top == 0 && right == 0 && bottom == 0) return;
  Step* step = append(StepKind::pad, plan_->width + left + right, plan_->height + top + bottom);
  step->x = static_cast<int32_t>(left);
  step->y = static_cast<int32_t>(top);
  step->pad_mode = mode;
  for (int c = 0; c < 3; ++c) step->fill[c] = fill[c];
}

Status PlanBuilder::finish() {
  if (overflow_) return {Code::transform, "more transforms than a plan holds"};
  if (refused_) return {Code::transform, "a transform gives an image of impossible size"};
  while (plan_->count > 0) {
    const StepKind last = plan_->steps[plan_->count - 1].kind;
    if (last == StepKind::flip_horizontal) {
      plan_->flip_horizontal = !plan_->flip_horizontal;
    } else if (last == StepKind::flip_vertical) {
      plan_->flip_vertical = !plan_->flip_vertical;
    } else {
      break;
    }
    --plan_->count;
  }
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
