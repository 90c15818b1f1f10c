#include "recipe/separable.h"

namespace fastload::recipe {

namespace {

AxisPass resized(image::Taps* scratch, const Step& step, bool vertical) {
  const Box& need = step.need;
  const Box& want = step.want;
  AxisPass pass;
  pass.vertical = vertical;
  pass.lines = vertical ? want.width : need.height;
  pass.span = vertical ? need.height : need.width;
  const image::Resize resize = resize_of(step, want);
  if (vertical) {
    scratch->fill(step.filter, resize.down(), want.y, want.height, {need.y, need.y + need.height});
  } else {
    scratch->fill(step.filter, resize.across(), want.x, want.width, {need.x, need.x + need.width});
  }
  const image::TapsView taps = scratch->view();
  pass.outputs = taps.outputs;
  pass.taps = taps.groups * image::kTapGroup;
  pass.starts.assign(taps.starts, taps.starts + taps.outputs);
  pass.weights.assign(taps.weights, taps.weights + static_cast<ptrdiff_t>(taps.outputs) * pass.taps);
  return pass;
}

AxisPass copied(int32_t width, int32_t height) {
  AxisPass pass;
  pass.lines = height;
  pass.span = pass.outputs = width;
  pass.taps = image::kTapGroup;
  pass.weights.assign(static_cast<size_t>(width) * image::kTapGroup, 0);
  for (int32_t i = 0; i < width; ++i) {
    pass.starts.push_back(i);
    pass.weights[static_cast<size_t>(i) * image::kTapGroup] = 1 << image::kPrecisionBits;
  }
  return pass;
}

}  // namespace

bool two_passes(const Plan& plan, image::Taps* scratch, AxisPass passes[2]) {
  int made = 0;
  if (!plan.erasures.empty()) return false;
  for (int i = 0; i < plan.count; ++i) {
    const Step& step = plan.steps[i];
    if (step.kind == StepKind::crop) continue;  // only what it leaves is ever computed
    if (step.kind != StepKind::resize) return false;
    for (const bool vertical : {false, true}) {
      const image::Resize resize = resize_of(step, step.want);
      if (!(vertical ? resize.down() : resize.across()).is_changed()) continue;
      if (made == 2) return false;
      passes[made++] = resized(scratch, step, vertical);
    }
  }
  while (made < 2) {
    const AxisPass* last = made > 0 ? &passes[made - 1] : nullptr;
    if (last == nullptr) {
      passes[made] = copied(plan.window.width, plan.window.height);
    } else {
      passes[made] = last->vertical ? copied(last->lines, last->outputs) : copied(last->outputs, last->lines);
    }
    ++made;
  }
  return true;
}

}  // namespace fastload::recipe
