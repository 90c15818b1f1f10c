// recipe/recipe.h: transforms + random words + image size -> a plan: which window to decode and what to do with it.
//
// Draws are torchvision's, word for word; nothing here touches pixels. A Recipe is read-only and shared by all threads.
#pragma once

#include <vector>

#include "image/geometry.h"
#include "image/resample.h"
#include "random/generator.h"
#include "types.h"

namespace fastload::recipe {

enum class Kind : uint8_t {
  random_resized_crop,
  resize,
  center_crop,
  random_crop,
  random_horizontal_flip,
  random_vertical_flip,
  grayscale,
  random_grayscale,
  pad,
};

// One transform with torchvision's parameters; which fields count depends on the kind.
struct Transform {
  Kind kind = Kind::resize;
  bool v2 = false;     // random_crop: draws and padding differ between transforms and transforms.v2
  int32_t height = 0;  // target size; height == 0: `width` is the short side (resize), 0: `max_size` is the long one
  int32_t width = 0;
  int32_t max_size = 0;  // resize: limit of the long side, 0: none
  image::Filter filter = image::Filter::bilinear;
  float p = 0;               // flips, random_grayscale
  double scale[2] = {0, 0};  // random_resized_crop
  double ratio[2] = {0, 0};
  float log_ratio[2] = {0, 0};        // torch.log(torch.tensor(ratio)), computed by torch
  bool padded = false;                // random_crop: `padding` is given
  int32_t padding[4] = {0, 0, 0, 0};  // left, top, right, bottom
  bool pad_if_needed = false;
  uint8_t fill[3] = {0, 0, 0};
  image::PadMode pad_mode = image::PadMode::constant;
};

// float32 exp as the installed torch computes it; see Note [torch.exp] in draw.cpp.
using ExpFn = float (*)(float);

// When Pillow resizes vertically before horizontally; each pass rounds to 8 bits, so the order shows.
enum class VerticalFirst : uint8_t {
  never,         // before 12.2
  very_tall,     // 12.2 to 12.x: height > 100 * width, and the height shrinks
  much_shorter,  // from 13.0: the height shrinks, and by more than twice as many pixels as the width
};

struct Recipe {
  std::vector<Transform> transforms;
  bool fused_uniform = true;  // torch's uniform_(a, b) is fma(x, b - a, a) on this machine, else x * (b - a) + a
  VerticalFirst vertical_first = VerticalFirst::never;
  ExpFn torch_exp = nullptr;  // asked where a crop's size hangs on the last bit; may take Python's lock
};

enum class StepKind : uint8_t { crop, resize, flip_horizontal, flip_vertical, grayscale, pad };

// One pixel operation. `need` is the part of the step's input that is needed, `want` the part of its output, both in the
// coordinates of the whole (virtual) image before and after the step.
struct Step {
  StepKind kind = StepKind::crop;
  int32_t in_width = 0, in_height = 0;
  int32_t out_width = 0, out_height = 0;
  int32_t x = 0, y = 0;  // crop: origin; pad: left and top
  image::Filter filter = image::Filter::bilinear;
  image::PadMode pad_mode = image::PadMode::constant;
  uint8_t fill[3] = {0, 0, 0};
  Box need;
  Box want;
};

constexpr int kMaxSteps = 32;

struct Plan {
  Step steps[kMaxSteps];
  int count = 0;
  int32_t image_width = 0;  // of what was drawn for
  int32_t image_height = 0;
  Box window;         // of the decoded image
  int32_t width = 0;  // of the result
  int32_t height = 0;
  bool flip_horizontal = false;  // trailing flips, left to the last pass over the pixels
  bool flip_vertical = false;
};

// Draws what `recipe` does to an image of width x height. Code::transform when a transform refuses the size (words drawn until
// then stay drawn, as in torchvision).
Status draw(const Recipe& recipe, random::Generator& generator, int32_t width, int32_t height, Plan* plan);

}  // namespace fastload::recipe
