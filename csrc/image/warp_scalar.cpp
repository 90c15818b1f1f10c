#include <cmath>
#include <limits>

#include "image/warp_rows.h"

namespace fastload::image {

namespace {

constexpr int32_t kNotANumber = std::numeric_limits<int32_t>::min();

void locate(const WarpMap& map, int32_t x, int32_t y, int32_t count, Places* out) {
  const double* const by = map.by;
  const double down = y + 0.5;
  const Box& inner = map.inner;
  out->inner = 0;
  for (int32_t i = 0; i < count; ++i) {
    const double right = x + i + 0.5;
    double at_x = by[0] * right + by[1] * down + by[2];
    double at_y = by[3] * right + by[4] * down + by[5];
    if (map.is_perspective) {
      const double depth = by[6] * right + by[7] * down + 1;
      at_x /= depth;
      at_y /= depth;
    }
    if (at_x < 0 || at_x >= map.width || at_y < 0 || at_y >= map.height) {
      out->x[i] = kOutside;
      continue;
    }
    const double left = std::floor(at_x - map.shift);
    const double top = std::floor(at_y - map.shift);
    out->x[i] = std::isnan(left) ? kNotANumber : static_cast<int32_t>(left);
    out->y[i] = std::isnan(top) ? kNotANumber : static_cast<int32_t>(top);
    out->right[i] = at_x - map.shift - left;
    out->down[i] = at_y - map.shift - top;
    const bool is_inner = out->x[i] >= inner.x && out->x[i] < inner.x + inner.width && out->y[i] >= inner.y &&
                          out->y[i] < inner.y + inner.height;
    out->inner |= uint64_t{is_inner} << i;
  }
}

// Adds as processors do, without a largest number.
int32_t moved(int32_t from, int32_t by) { return static_cast<int32_t>(static_cast<uint32_t>(from) + static_cast<uint32_t>(by)); }

void nearest(const Pixels& source, int32_t x, int32_t y, int32_t dx, int32_t dy, int32_t count, uint8_t* out) {
  for (int32_t i = 0; i < count; ++i, out += 4) {
    copy_pixel(source.row(y >> 16) + 4 * static_cast<ptrdiff_t>(x >> 16), out);
    x = moved(x, dx);
    y = moved(y, dy);
  }
}

const uint8_t* pixel_of(const Pixels& source, const Box& corner, const Places& places, int32_t i) {
  return source.row(places.y[i] - corner.y) + 4 * static_cast<ptrdiff_t>(places.x[i] - corner.x);
}

void bilinear(const Pixels& source, const Box& corner, const Places& places, int32_t first, int32_t count, uint8_t* out) {
  for (int32_t i = first; i < first + count; ++i, out += 4) {
    const uint8_t* const upper = pixel_of(source, corner, places, i);
    const uint8_t* const lower = upper + source.stride;
    for (int c = 0; c < 3; ++c) {
      const double above = mixed(upper[c], upper[c + 4], places.right[i]);
      const double below = mixed(lower[c], lower[c + 4], places.right[i]);
      out[c] = static_cast<uint8_t>(mixed(above, below, places.down[i]));
    }
  }
}

void bilinear_inside(const WarpMap& map, const Pixels& source, const Box& corner, int32_t x, int32_t y, int32_t count,
                     uint8_t* out) {
  Places places;
  for (int32_t i = 0; i < count; i += kWarpChunk) {
    const int32_t chunk = count - i < kWarpChunk ? count - i : kWarpChunk;
    locate(map, x + i, y, chunk, &places);
    bilinear(source, corner, places, 0, chunk, out + 4 * static_cast<ptrdiff_t>(i));
  }
}

void bicubic(const Pixels& source, const Box& corner, const Places& places, int32_t first, int32_t count, uint8_t* out) {
  for (int32_t i = first; i < first + count; ++i, out += 4) {
    const uint8_t* const middle = pixel_of(source, corner, places, i);
    for (int c = 0; c < 3; ++c) {
      double rows[4];
      for (int r = 0; r < 4; ++r) {
        const uint8_t* const at = middle + (r - 1) * source.stride + c;
        rows[r] = cubic(at[-4], at[0], at[4], at[8], places.right[i]);
      }
      out[c] = cut(cubic(rows[0], rows[1], rows[2], rows[3], places.down[i]));
    }
  }
}

}  // namespace

const WarpRows kWarpScalar = {locate, bilinear_inside, nearest, bilinear, bicubic};

}  // namespace fastload::image
