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

// A resize of a whole image of in_width x in_height to out_width x out_height, of which only `region` (in output pixels) is
// wanted. Coefficients are those of the whole resize: taps clamp to the whole input image, never to the region.
struct Resize {
  int32_t in_width = 0;
  int32_t in_height = 0;
  int32_t out_width = 0;
  int32_t out_height = 0;
  Filter filter = Filter::bilinear;
  Box region;
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
  struct Axis;
  struct State;
  State* state_;
};

}  // namespace fastload::image
