#include "image/geometry.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace fastload::image {

namespace {

uint32_t* pixel_at(const Pixels& pixels, int32_t x, int32_t y) {
  return reinterpret_cast<uint32_t*>(pixels.row(y)) + x;
}

// The source position that shows at `i`, which may lie outside [0, size). Reflections go on for as long as the border does.
int32_t mirrored(int32_t i, int32_t size, PadMode mode) {
  if (i >= 0 && i < size) return i;
  if (mode == PadMode::edge) return i < 0 ? 0 : size - 1;
  if (mode == PadMode::reflect && size == 1) return 0;
  const int32_t period = mode == PadMode::symmetric ? 2 * size : 2 * size - 2;
  const int32_t phase = (i % period + period) % period;
  if (phase < size) return phase;
  return mode == PadMode::symmetric ? period - 1 - phase : period - phase;
}

}  // namespace

void flip_horizontal(const Pixels& pixels) {
  for (int32_t y = 0; y < pixels.height; ++y) {
    uint32_t* row = pixel_at(pixels, 0, y);
    for (int32_t x = 0; x < pixels.width / 2; ++x) std::swap(row[x], row[pixels.width - 1 - x]);
  }
}

void flip_vertical(const Pixels& pixels) {
  for (int32_t y = 0; y < pixels.height / 2; ++y) {
    uint32_t* upper = pixel_at(pixels, 0, y);
    uint32_t* lower = pixel_at(pixels, 0, pixels.height - 1 - y);
    for (int32_t x = 0; x < pixels.width; ++x) std::swap(upper[x], lower[x]);
  }
}

void transpose(const Pixels& source, const Pixels& out) {
  constexpr int32_t kTile = 16;  // a cache line of pixels
  for (int32_t top = 0; top < source.height; top += kTile) {
    const int32_t bottom = std::min(top + kTile, source.height);
    for (int32_t left = 0; left < source.width; left += kTile) {
      const int32_t right = std::min(left + kTile, source.width);
      for (int32_t x = left; x < right; ++x) {
        for (int32_t y = top; y < bottom; ++y) *pixel_at(out, y, x) = *pixel_at(source, x, y);
      }
    }
  }
}

void pad(const Pixels& source, int32_t left, int32_t top, PadMode mode, const uint8_t fill[3], const Pixels& out) {
  for (int32_t y = 0; y < out.height; ++y) {
    for (int32_t x = 0; x < out.width; ++x) {
      const int32_t from_x = x - left;
      const int32_t from_y = y - top;
      const bool inside = from_x >= 0 && from_y >= 0 && from_x < source.width && from_y < source.height;
      uint8_t* to = out.row(y) + 4 * static_cast<ptrdiff_t>(x);
      if (mode == PadMode::constant && !inside) {
        std::memcpy(to, fill, 3);
      } else {
        std::memcpy(to, pixel_at(source, mirrored(from_x, source.width, mode), mirrored(from_y, source.height, mode)),
                    4);
      }
    }
  }
}

}  // namespace fastload::image
