// image/mix_kernels.h: the rows of AugMix, to be compiled for each kind of processor. No operation is contracted. Builtins, as no
// function of the standard library may be compiled for a processor that others do not have.
#pragma once

#include <cstring>

#include "image/mix_rows.h"

namespace fastload::image {

namespace {

inline uint8_t cut(float value) { return static_cast<uint8_t>(value < 0 ? 0.0f : value > 255 ? 255.0f : value); }

void blend_row(uint8_t* rgbx, const uint8_t* other, int32_t count, float ratio, float rest) {
  for (int32_t i = 0; i < 4 * count; ++i) {
    const float own = ratio * static_cast<float>(rgbx[i]);
    const float others = rest * static_cast<float>(other[i]);
    rgbx[i] = cut(own + others);
  }
}

inline uint8_t tensor_gray(const uint8_t* rgb) {
  const float red = 0.2989f * static_cast<float>(rgb[0]);
  const float green = 0.587f * static_cast<float>(rgb[1]);
  const float blue = 0.114f * static_cast<float>(rgb[2]);
  const float sum = red + green;
  return static_cast<uint8_t>(sum + blue);
}

void gray_rest(const uint8_t* rgbx, int32_t first, int32_t count, uint8_t* out) {
  for (int32_t i = 4 * first; i < 4 * count; i += 4) std::memset(out + i, tensor_gray(rgbx + i), 4);
}

// No sum of thirteenths lies in the middle of two integers.
void blur_row(const uint8_t* above, const uint8_t* rgbx, const uint8_t* below, int32_t count, uint8_t* __restrict out) {
  for (int32_t i = 0; i < 4 * count; ++i) {
    const int of_above = above[i - 4] + above[i] + above[i + 4];
    const int of_below = below[i - 4] + below[i] + below[i + 4];
    const auto sum = static_cast<uint32_t>(of_above + of_below + rgbx[i - 4] + 5 * rgbx[i] + rgbx[i + 4]);
    out[i] = static_cast<uint8_t>((2 * sum + 13) / 26);
  }
}

// Where a coordinate of the grid, from -1 to 1, lies in an image with so many pixels.
inline float place(float coordinate, float half) { return __builtin_fmaf(coordinate + 1.0f, half, -0.5f); }

inline bool within(int32_t x, int32_t y, const Pixels& source) {
  return x >= 0 && x < source.width && y >= 0 && y < source.height;
}

inline const uint8_t* pixel(const Pixels& source, int32_t x, int32_t y) {
  static constexpr uint8_t kNothing[4] = {0, 0, 0, 0};
  return within(x, y, source) ? source.row(y) + 4 * static_cast<ptrdiff_t>(x) : kNothing;
}

inline void bilinear(const Pixels& source, float x, float y, uint8_t* out) {
  const float left = __builtin_floorf(x), top = __builtin_floorf(y);
  const float from_left = x - left, to_right = 1.0f - from_left;
  const float from_top = y - top, to_bottom = 1.0f - from_top;
  const auto column = static_cast<int32_t>(left);
  const auto row = static_cast<int32_t>(top);
  const uint8_t* const corners[4] = {pixel(source, column, row), pixel(source, column + 1, row),
                                     pixel(source, column, row + 1), pixel(source, column + 1, row + 1)};
  const float weights[4] = {to_bottom * to_right, to_bottom * from_left, from_top * to_right, from_top * from_left};
  for (int c = 0; c < 3; ++c) {
    float sum = static_cast<float>(corners[0][c]) * weights[0];
    for (int i = 1; i < 4; ++i) sum = __builtin_fmaf(static_cast<float>(corners[i][c]), weights[i], sum);
    out[c] = static_cast<uint8_t>(__builtin_nearbyintf(sum));
  }
}

// A pixel of the warped image, from where the grid says.
inline void warp_pixel(const Pixels& source, const GridStyle& style, float x, float y, uint8_t* out) {
  std::memset(out, 0, 4);
  if (!(x > -1 && y > -1 && x < static_cast<float>(source.width) && y < static_cast<float>(source.height))) return;
  if (!style.is_nearest) return bilinear(source, x, y, out);
  const auto column = static_cast<int32_t>(__builtin_nearbyintf(x));
  std::memcpy(out, pixel(source, column, static_cast<int32_t>(__builtin_nearbyintf(y))), 4);
}

// From column `first` on.
void warp_rest(const Pixels& source, const float theta[3][2], const GridStyle& style, int32_t y, int32_t first, uint8_t* out) {
  const float half_width = static_cast<float>(source.width) / 2, half_height = static_cast<float>(source.height) / 2;
  const float at_y = static_cast<float>(y) - (half_height - 0.5f);
  for (int32_t i = first; i < source.width; ++i, out += 4) {
    const float at_x = static_cast<float>(i) - (half_width - 0.5f);
    float grid[2];
    for (int j = 0; j < 2; ++j) {
      const float along = at_x * theta[0][j];
      const float sum = style.is_fused ? __builtin_fmaf(at_y, theta[1][j], along) : along + at_y * theta[1][j];
      grid[j] = sum + theta[2][j];
    }
    warp_pixel(source, style, place(grid[0], half_width), place(grid[1], half_height), out);
  }
}

void combine_row(const uint8_t* const* images, const float* weights, int32_t images_count, int32_t count, uint8_t* out) {
  constexpr int32_t kBlock = 64;
  for (int32_t first = 0; first < 4 * count; first += kBlock) {
    const int32_t end = first + kBlock < 4 * count ? first + kBlock : 4 * count;
    float sums[kBlock];
    for (int32_t i = first; i < end; ++i) sums[i - first] = weights[0] * static_cast<float>(images[0][i]);
    for (int32_t k = 1; k < images_count; ++k) {
      for (int32_t i = first; i < end; ++i) {
        const float added = weights[k] * static_cast<float>(images[k][i]);
        sums[i - first] = sums[i - first] + added;
      }
    }
    for (int32_t i = first; i < end; ++i) out[i] = cut(sums[i - first]);
  }
}

}  // namespace

}  // namespace fastload::image
