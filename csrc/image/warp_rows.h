// image/warp_rows.h: a row of a warp, in scalar and in SIMD: where its pixels come from, and what is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "types.h"

namespace fastload::image {

// Up to this many pixels of a row are worked on at a time.
constexpr int32_t kWarpChunk = 64;
// Room behind them, into which SIMD may write.
constexpr int32_t kWarpSlack = 8;
// `x` of a place outside of the input.
constexpr int32_t kOutside = 0x7fffffff;

// Places in the input: pixel (x, y), and how far from it towards the next one. (INT32_MIN, INT32_MIN) and NaN: not a number.
struct Places {
  alignas(32) int32_t x[kWarpChunk + kWarpSlack];
  alignas(32) int32_t y[kWarpChunk + kWarpSlack];
  alignas(32) double right[kWarpChunk + kWarpSlack];
  alignas(32) double down[kWarpChunk + kWarpSlack];
  uint64_t inner = 0;  // bit i: pixel (x[i], y[i]) is in WarpMap::inner
};

// The map of a Warp, and the size of its input.
struct WarpMap {
  const double* by = nullptr;
  bool is_perspective = false;
  double width = 0;
  double height = 0;
  double shift = 0;  // taken off each place: a half where pixels are mixed
  Box inner;         // pixels around which there are all that are mixed
};

struct WarpRows {
  // Places of output pixels (x, y), (x + 1, y) … `count` is up to kWarpChunk.
  void (*locate)(const WarpMap& map, int32_t x, int32_t y, int32_t count, Places* out);
  // What is at the places of output pixels (x, y), (x + 1, y) … less `corner`. The map is no perspective, and all places are in
  // map.inner, around which the source has all that is mixed.
  void (*bilinear_inside)(const WarpMap& map, const Pixels& source, const Box& corner, int32_t x, int32_t y, int32_t count,
                          uint8_t* out);
  // Pixels (x >> 16, y >> 16), (x + dx >> 16, y + dy >> 16) …, all of which are in the source.
  void (*nearest)(const Pixels& source, int32_t x, int32_t y, int32_t dx, int32_t dy, int32_t count, uint8_t* out);
  // What is at places [first, first + count) less `corner`; the 2 x 2 or 4 x 4 pixels around each are all in the source.
  void (*bilinear)(const Pixels& source, const Box& corner, const Places& places, int32_t first, int32_t count, uint8_t* out);
  void (*bicubic)(const Pixels& source, const Box& corner, const Places& places, int32_t first, int32_t count, uint8_t* out);
};

inline void copy_pixel(const uint8_t* from, uint8_t* to) { std::memcpy(to, from, 4); }

inline double mixed(double from, double to, double way) { return from + (to - from) * way; }

// Pillow's cubic through the second and the third of four values.
inline double cubic(double v1, double v2, double v3, double v4, double way) {
  const double p2 = -v1 + v3;
  const double p3 = 2 * (v1 - v2) + v3 - v4;
  const double p4 = -v1 + v2 - v3 + v4;
  return v2 + way * (p2 + way * (p3 + way * p4));
}

// Not a number is 0, as it is on x86.
inline uint8_t cut(double value) { return value >= 255 ? uint8_t{255} : value > 0 ? static_cast<uint8_t>(value) : uint8_t{0}; }

extern const WarpRows kWarpScalar;
#if defined(__x86_64__)
extern const WarpRows kWarpAvx2;
#endif

}  // namespace fastload::image
