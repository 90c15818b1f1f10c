#include "recipe/separable.h"

namespace fastload::recipe {

namespace {

AxisForm resized(const Step& step, bool vertical) {
  const Box& need = step.need;
  const Box& want = step.want;
  AxisForm form;
  const image::Resize resize = resize_of(step, want);
  form.vertical = vertical;
  form.lines = vertical ? want.width : need.height;
  form.span = vertical ? need.height : need.width;
  form.outputs = vertical ? want.height : want.width;
  form.filter = step.filter;
  form.axis = vertical ? resize.down() : resize.across();
  form.first = vertical ? want.y : want.x;
  form.origin = vertical ? need.y : need.x;
  form.taps = image::taps_of(form.filter, form.axis, form.first, form.outputs);
  return form;
}

AxisForm copied(int32_t width, int32_t height) {
  AxisForm form;
  form.is_copy = true;
  form.lines = height;
  form.span = form.outputs = width;
  form.taps = image::kTapGroup;
  return form;
}

}  // namespace

bool two_forms(const Plan& plan, AxisForm forms[2]) {
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
      forms[made++] = resized(step, vertical);
    }
  }
  while (made < 2) {
    const AxisForm* last = made > 0 ? &forms[made - 1] : nullptr;
    if (last == nullptr) {
      forms[made] = copied(plan.window.width, plan.window.height);
    } else {
      forms[made] = last->vertical ? copied(last->lines, last->outputs) : copied(last->outputs, last->lines);
    }
    ++made;
  }
  return true;
}

AxisPass pass_of(const AxisForm& form, image::Taps* scratch) {
  AxisPass pass;
  pass.vertical = form.vertical;
  pass.lines = form.lines;
  pass.span = form.span;
  pass.outputs = form.outputs;
  pass.taps = form.taps;
  if (form.is_copy) {
    pass.weights.assign(static_cast<size_t>(form.outputs) * static_cast<size_t>(form.taps), 0);
    for (int32_t i = 0; i < form.outputs; ++i) {
      pass.starts.push_back(i);
      pass.weights[static_cast<size_t>(i) * static_cast<size_t>(form.taps)] = 1 << image::kPrecisionBits;
    }
    return pass;
  }
  scratch->fill(form.filter, form.axis, form.first, form.outputs, {form.origin, form.origin + form.span});
  const image::TapsView taps = scratch->view();
  pass.starts.assign(taps.starts, taps.starts + taps.outputs);
  pass.weights.assign(taps.weights, taps.weights + static_cast<ptrdiff_t>(taps.outputs) * pass.taps);
  return pass;
}

bool two_passes(const Plan& plan, image::Taps* scratch, AxisPass passes[2]) {
  AxisForm forms[2];
  if (!two_forms(plan, forms)) return false;
  for (int i = 0; i < 2; ++i) passes[i] = pass_of(forms[i], scratch);
  return true;
}

}  // namespace fastload::recipe
