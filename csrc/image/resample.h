// image/resample.h: pixels in, resized pixels out, every byte equal to Pillow's 8-bit Image.resize.
//
// Separable: horizontal pass into an 8-bit intermediate, then vertical, as Pillow does it. `scalar` is the definition; the
// SIMD variants must equal it byte for byte. One Resampler per thread: it owns the coefficient tables and the intermediate.
#pragma once

#include <vector>

#include "types.h"

namespace fastload::image {

enum class Filter : uint8_t { nearest, box, bilinear, hamming, bicubic, lanczos };

enum class Simd : uint8_t { scalar, avx2, avx512 };

// The best variant that this build and this processor have.
Simd best_simd();
// Whether this build and this processor can run `simd`.
bool has_simd(Simd simd);

// One side of a resize: `out_size` outputs are made of inputs [begin, end), which need not be whole numbers. Taps reach beyond these, but
// not beyond the `in_size` that there are.
struct Axis {
  int32_t in_size;
  int32_t out_size;
  float begin;
  float end;

  bool is_changed() const { return in_size != out_size || begin != 0 || end != static_cast<float>(in_size); }
};

// A part of an image, in pixels that need not be whole; of all zeros: the whole image.
struct Part {
  float left = 0, top = 0, right = 0, bottom = 0;

  bool is_whole() const { return right == 0 && bottom == 0; }
};

// A resize of an image of in_width x in_height, or a part of it, to out_width x out_height, of which only `region` (in output pixels) is
// wanted. Coefficients are those of the whole resize: taps clamp to the whole input image, never to the region.
struct Resize {
  int32_t in_width = 0;
  int32_t in_height = 0;
  int32_t out_width = 0;
  int32_t out_height = 0;
  Filter filter = Filter::bilinear;
  Box region;
  Part part;

  Axis across() const { return {in_width, out_width, part.left, part.is_whole() ? static_cast<float>(in_width) : part.right}; }
  Axis down() const { return {in_height, out_height, part.top, part.is_whole() ? static_cast<float>(in_height) : part.bottom}; }
};

// The input pixels that `resize.region` depends on.
Box needed_input(const Resize& resize);

class Resampler {
 public:
  explicit Resampler(Simd simd = best_simd());
  ~Resampler();
  Resampler(const Resampler&) = delete;
  Resampler& operator=(const Resampler&) = delete;

  // `source` holds exactly needed_input(resize); `out` is a buffer of region.width x region.height pixels.
  void run(const Resize& resize, const Pixels& source, const Pixels& out);
  // See Buffer.
  void settle();

 private:
  struct State;
  State* state_;
};

}  // namespace fastload::image
