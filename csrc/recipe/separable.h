// recipe/separable.h: a plan -> two passes over the pixels of its window, one an axis, as plain numbers that a GPU can follow.
//
// The weights are the resampler's own (image/taps.h), so whoever sums them in 32-bit integers gets the same bytes.
#pragma once

#include <vector>

#include "image/taps.h"
#include "recipe/recipe.h"

namespace fastload::recipe {

// What one pass does to each line, before its weights are made. A copy: outputs are inputs.
struct AxisForm {
  bool vertical = false;
  bool is_copy = false;
  int32_t lines = 0;  // as in AxisPass, as the next three
  int32_t span = 0;
  int32_t outputs = 0;
  int32_t taps = 0;
  image::Filter filter = image::Filter::bilinear;
  image::Axis axis = {};  // of the whole resize
  int32_t first = 0;      // output
  int32_t origin = 0;  // input that the span begins with
};

// Output i of each line is the sum of taps inputs from starts[i] on, each times its weight, rounded to 8 bits. Inputs from `span`
// on do not exist; their weights are zero.
struct AxisPass {
  bool vertical = false;
  int32_t lines = 0;    // rows of a horizontal pass, columns of a vertical one
  int32_t span = 0;     // inputs of a line
  int32_t outputs = 0;  // of a line
  int32_t taps = 0;     // of an output, a multiple of image::kTapGroup
  std::vector<int32_t> starts;
  std::vector<int32_t> weights;  // outputs x taps
};

// False where the plan is more than crops and one resize: pads, grayscale, flips before its end.
bool two_forms(const Plan& plan, AxisForm forms[2]);
AxisPass pass_of(const AxisForm& form, image::Taps* scratch);
// Both.
bool two_passes(const Plan& plan, image::Taps* scratch, AxisPass passes[2]);

}  // namespace fastload::recipe
