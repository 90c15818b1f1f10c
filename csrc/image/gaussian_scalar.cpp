#include <cmath>

#include "image/gaussian_rows.h"

namespace fastload::image {

namespace {

void to_floats(const uint8_t* rgbx, int32_t count, float* out) {
  for (ptrdiff_t i = 0; i < 4 * static_cast<ptrdiff_t>(count); ++i) out[i] = static_cast<float>(rgbx[i]);
}

void across(const float* in, const float* weights, int32_t taps, int32_t count, float* out) {
  for (ptrdiff_t i = 0; i < 4 * static_cast<ptrdiff_t>(count); ++i) {
    float sum = 0;
    for (ptrdiff_t tap = 0; tap < taps; ++tap) sum += weights[tap] * in[i + 4 * tap];
    out[i] = sum;
  }
}

int32_t down(const float* const* rows, const float* weights, int32_t taps, int32_t count, float doubt, uint8_t* rgbx,
             int32_t* doubtful) {
  int32_t found = 0;
  for (int32_t x = 0; x < count; ++x) {
    bool is_doubtful = false;
    for (int c = 0; c < 3; ++c) {
      const ptrdiff_t i = 4 * static_cast<ptrdiff_t>(x) + c;
      float sum = 0;
      for (int32_t tap = 0; tap < taps; ++tap) sum += weights[tap] * rows[tap][i];
      rgbx[i] = static_cast<uint8_t>(std::nearbyintf(sum));
      is_doubtful |= std::fabs(sum - std::floor(sum) - 0.5f) <= doubt;
    }
    if (is_doubtful) doubtful[found++] = x;
  }
  return found;
}

void in_order(const KernelPart& kernel, const uint8_t* rgbx, ptrdiff_t stride, const int32_t* columns, int32_t count, uint8_t* out) {
  for (int32_t which = 0; which < count; ++which) {
    const ptrdiff_t first = 4 * static_cast<ptrdiff_t>(columns[which]);
    for (int c = 0; c < 3; ++c) {
      float sum = 0;
      for (int32_t y = 0; y < kernel.height; ++y) {
        const uint8_t* const row = rgbx + y * stride + first + c;
        const float* const weights = kernel.weights + static_cast<ptrdiff_t>(y) * kernel.stride;
        for (int32_t x = 0; x < kernel.width; ++x) sum = std::fma(static_cast<float>(row[4 * static_cast<ptrdiff_t>(x)]), weights[x], sum);
      }
      out[first + c] = static_cast<uint8_t>(std::nearbyintf(sum));
    }
  }
}

}  // namespace

const GaussianRows kGaussianScalar = {to_floats, across, down, in_order};

}  // namespace fastload::image
