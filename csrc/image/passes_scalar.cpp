#include "image/passes.h"

namespace fastload::image {

namespace {

uint8_t clip(int32_t sum) {
  const int32_t value = sum >> kPrecisionBits;
  return static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

// One output pixel from `taps` inputs that lie `step` bytes apart.
void sum_pixel(const uint8_t* source, ptrdiff_t step, const int32_t* weights, int32_t taps, uint8_t* out) {
  int32_t sums[3] = {1 << (kPrecisionBits - 1), 1 << (kPrecisionBits - 1), 1 << (kPrecisionBits - 1)};
  for (int32_t k = 0; k < taps; ++k, source += step) {
    if (weights[k] == 0) continue;  // padding may lie outside the source
    for (int c = 0; c < 3; ++c) sums[c] += source[c] * weights[k];
  }
  for (int c = 0; c < 3; ++c) out[c] = clip(sums[c]);
}

void horizontal(const TapsView& taps, uint32_t*, const Pixels& source, const Pixels& out) {
  const int32_t width = taps.groups * kTapGroup;
  for (int32_t y = 0; y < out.height; ++y) {
    for (int32_t x = 0; x < taps.outputs; ++x) {
      const uint8_t* first = source.row(y) + 4 * static_cast<ptrdiff_t>(taps.starts[x]);
      sum_pixel(first, 4, taps.weights + x * width, width, out.row(y) + 4 * static_cast<ptrdiff_t>(x));
    }
  }
}

void vertical(const TapsView& taps, uint32_t*, const Pixels& source, const Pixels& out) {
  const int32_t width = taps.groups * kTapGroup;
  for (int32_t y = 0; y < taps.outputs; ++y) {
    const uint8_t* first = source.row(taps.starts[y]);
    for (int32_t x = 0; x < out.width; ++x) {
      const ptrdiff_t at = 4 * static_cast<ptrdiff_t>(x);
      sum_pixel(first + at, source.stride, taps.weights + y * width, width, out.row(y) + at);
    }
  }
}

}  // namespace

const Passes kScalarPasses = {horizontal, vertical};

}  // namespace fastload::image
