// recipe/recipe.h: transforms + random words + image size -> a plan: which window to decode and what to do with it.
//
// Draws are torchvision's, word for word; nothing here touches pixels. A Recipe is read-only and shared by all threads.
#pragma once

#include <memory>
#include <string>
#include <memory>
#include <vector>

#include "image/box_blur.h"
#include "image/gaussian_blur.h"
#include "image/geometry.h"
#include "image/mix.h"
#include "image/recolour.h"
#include "image/resample.h"
#include "image/warp.h"
#include "random/generator.h"
#include "recipe/perspective.h"
#include "types.h"

namespace fastload::recipe {

struct AugMix;  // see aug_mix.h
struct AugmentPolicy;  // see timm.h
struct Policy;  // see policy.h

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
  random_recolour,      // `recolour`, with probability p
  color_jitter,
  photometric_distort,  // of transforms.v2
  permute_channels,     // in a random order
  random_rotation,
  random_affine,
  random_perspective,
  random_zoom_out,       // of transforms.v2, as the next three
  scale_jitter,
  random_shortest_size,
  random_resize,
  gaussian_blur,        // torchvision's; sigma between least[0] and most[0]
  pillow_blur,          // ImageFilter.GaussianBlur; the radius is drawn from Python or NumPy between scale[0] and scale[1], or is scale[0]
  recolour,             // always
  random_erasing,       // of the finished tensor
  policy,               // AutoAugment and its kin
  aug_mix,              // of transforms
  random_apply,         // the `count` transforms behind it, with probability p
  random_order,         // the `count` groups behind it, in a random order
  random_choice,        // one of the `count` groups behind it
  timm_crop_and_resize,    // timm's; see timm.h
  timm_resize_keep_ratio,  // `scale` with probability p, `ratio` with aspect_p
  timm_crop_or_pad,
  timm_augment,
  timm_erasing,         // of the finished tensor
  group,                // the `count` transforms behind it, one after the other
};

// One transform with torchvision's parameters; which fields count depends on the kind.
struct Transform {
  Kind kind = Kind::resize;
  bool v2 = false;     // random_crop: draws and padding differ between transforms and transforms.v2
  int32_t height = 0;  // target size; height == 0: `width` is the short side (resize), 0: `max_size` is the long one
  int32_t width = 0;
  int32_t max_size = 0;  // resize: limit of the long side, 0: none
  image::Filter filter = image::Filter::bilinear;
  double p = 0;              // whatever is done with a probability; in float32 where torch compares in it
  bool p_inclusive = false;  // random_apply: a draw that equals p counts too
  double scale[2] = {0, 0};  // random_resized_crop
  double ratio[2] = {0, 0};
  float log_ratio[2] = {0, 0};        // torch.log(torch.tensor(ratio)), computed by torch
  bool padded = false;                // random_crop: `padding` is given
  int32_t padding[4] = {0, 0, 0, 0};  // left, top, right, bottom
  bool pad_if_needed = false;
  uint8_t fill[3] = {0, 0, 0};
  image::PadMode pad_mode = image::PadMode::constant;
  std::vector<double> sizes;  // random_shortest_size: of the short side; scale_jitter: the target's two
  bool expand = false;        // random_rotation
  bool is_centred = true;     // random_rotation, random_affine: around the image's own center
  double center[2] = {0, 0};
  bool moves = false;         // random_affine: by up to these shares of the width and the height
  double shares[2] = {0, 0};
  double distortion = 0;  // random_perspective
  image::Recolour recolour;
  // color_jitter: brightness, contrast, saturation, hue; photometric_distort: all of them. random_affine: angle, scale, shear
  // along x and along y; random_rotation: angle.
  bool varies[4] = {false, false, false, false};
  float least[4] = {0, 0, 0, 0};
  float most[4] = {0, 0, 0, 0};
  image::GaussianBlur blur;
  bool is_gray = false;   // permute_channels, photometric_distort, random_erasing, timm_erasing: the image has one channel
  bool is_noise = false;  // random_erasing, timm_erasing: with normal deviates
  bool is_plain = false;  // timm_erasing: with one deviate a channel
  int32_t least_rectangles = 1, most_rectangles = 1;  // timm_erasing
  // random_apply, random_order, random_choice, group; random_erasing, timm_erasing: which of the target's values; policy: the most steps
  int32_t count = 0;
  std::vector<double> weights;  // random_choice: of each group; cumulated where Python draws, and then none: all are alike
  double log_ratio_in_double[2] = {0, 0};  // of timm: math.log(ratio)
  double aspect_p = 0;
  double longest = 0;       // timm_resize_keep_ratio: 0: the short side counts, 1: the long one
  bool by_area = false;     // timm_resize_keep_ratio: `scale` is of the area that is seen
  bool draws_filter = false;  // of timm: one of `filters`, else the first
  std::vector<image::Filter> filters;
  std::shared_ptr<const AugmentPolicy> augments;
  bool draws_python = false;    // draws from Python's `random`, not from torch's generator or beside it
  bool draws_numpy = false;     // the same of NumPy's legacy generator
  uint8_t stage = 0;            // of the recipe's, to which the time of its steps counts
  std::shared_ptr<Policy> policy;
  std::shared_ptr<AugMix> aug_mix;
};

// float32 exp as the installed torch computes it; see Note [torch.exp] in draws.h.
using ExpFn = float (*)(float);

// Moves the generator on as torch.empty(count).normal_() does; see Note [noise] in draw_erasing.cpp.
using NormalFn = void (*)(random::Mt19937*, int64_t count);

// torch.linspace(0, end, steps)[i] in float32.
using LinspaceFn = float (*)(double end, int32_t steps, int32_t i);

// The weights of the image and of each chain as AugMix draws them.
using MixingFn = void (*)(random::Mt19937*, double alpha, int32_t chains, std::vector<float>* weights);

// When Pillow resizes vertically before horizontally; each pass rounds to 8 bits, so the order shows.
enum class VerticalFirst : uint8_t {
  never,         // before 12.2
  very_tall,     // 12.2 to 12.x: height > 100 * width, and the height shrinks
  much_shorter,  // from 13.0: the height shrinks, and by more than twice as many pixels as the width
};

// torch.multinomial(torch.tensor(weights), 1) of the installed torch, which moves the generator on.
using MultinomialFn = int (*)(const std::vector<double>& weights, random::Mt19937* generator);

// More are counted to the first.
constexpr int kMostStages = 32;

struct Recipe {
  std::vector<Transform> transforms;
  std::vector<std::string> stages;  // names; the first is what is no augmentation
  bool fused_uniform = true;  // torch's uniform_(a, b) is fma(x, b - a, a) on this machine, else x * (b - a) + a
  VerticalFirst vertical_first = VerticalFirst::never;
  PerspectiveFn torch_perspective = nullptr;  // asked where a bit of it is uncertain; the same
  ExpFn torch_exp = nullptr;                  // asked where a crop's size hangs on the last bit; may take Python's lock
  MultinomialFn torch_multinomial = nullptr;  // takes Python's lock, as those below
  NormalFn torch_normal = nullptr;            // asked for less than a block of noise
  LinspaceFn torch_linspace = nullptr;        // asked where a whole number of pixels hangs on the last bit
  MixingFn torch_mixing = nullptr;      // asked by each AugMix; takes it too
};

enum class StepKind : uint8_t {
  crop,
  resize,
  flip_horizontal,
  flip_vertical,
  transpose,
  grayscale,
  pad,
  recolour,
  warp,
  gaussian_blur,
  box_blur,
  mix,
};

// One pixel operation. `need` is the part of the step's input that is needed, `want` the part of its output, both in the
// coordinates of the whole (virtual) image before and after the step.
struct Step {
  StepKind kind = StepKind::crop;
  uint8_t stage = 0;
  int32_t in_width = 0, in_height = 0;
  int32_t out_width = 0, out_height = 0;
  int32_t x = 0, y = 0;  // crop: origin; pad: left and top
  image::Filter filter = image::Filter::bilinear;
  image::Part part;  // of the input that is resized
  image::PadMode pad_mode = image::PadMode::constant;
  uint8_t fill[3] = {0, 0, 0};
  image::Recolour recolour;
  image::Warp warp;  // its sizes too
  image::GaussianBlur blur;
  image::BoxBlur box_blur;
  int32_t mix = 0;   // which of the plan's
  Box need;
  Box want;
};

// A step that is a resize, of which `region` is wanted.
inline image::Resize resize_of(const Step& step, Box region) {
  return {step.in_width, step.in_height, step.out_width, step.out_height, step.filter, region, step.part};
}

// A rectangle of the finished tensor that gets other values.
struct Erasure {
  Box box;             // of the result; parts may lie outside
  int32_t values = 0;  // which of the target's
  uint8_t stage = 0;
  // torch's generator just before it drew box.width x box.height deviates for each channel, which are the values; null: the target's.
  std::shared_ptr<const random::Mt19937> noise;
  bool is_plain = false;  // it drew one for each channel
  bool flipped_horizontal = false;  // since it was drawn
  bool flipped_vertical = false;
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
  std::vector<std::shared_ptr<const image::Mix>> mixes;
  std::vector<Erasure> erasures;  // one after the other, when all else is done
};

// What is done to an image before anything is drawn for it. Any step but a pad, a warp and torchvision's blur.
struct Noted {
  StepKind kind = StepKind::crop;
  Box box;  // crop: what stays; resize: its width and height are the new ones
  image::Filter filter = image::Filter::bilinear;
  image::Part part;  // resize: of the image
  image::BoxBlur box_blur;
  image::Recolour recolour;
};

// Draws what `recipe` does to an image of width x height that `before` was done to. Code::transform when a transform refuses the size (words drawn until
// then stay drawn, as in torchvision).
Status draw(const Recipe& recipe, random::Generator& generator, int32_t width, int32_t height, Plan* plan,
            const std::vector<Noted>& before = {});

}  // namespace fastload::recipe
