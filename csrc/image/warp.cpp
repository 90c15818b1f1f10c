#include "image/warp.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "image/warp_rows.h"

namespace fastload::image {

namespace {

const WarpRows& rows_of([[maybe_unused]] Simd simd) {
#if defined(__x86_64__)
  if (simd != Simd::scalar) return kWarpAvx2;
#endif
  return kWarpScalar;
}

void fill_row(const Warp& warp, int32_t count, uint8_t* out) {
  const uint8_t pixel[4] = {warp.fill[0], warp.fill[1], warp.fill[2], 0};
  for (int32_t i = 0; i < count; ++i) copy_pixel(pixel, out + 4 * static_cast<ptrdiff_t>(i));
}

// A double as Pillow's casts make an int of it; what has none is far outside.
int32_t as_int(double value) {
  constexpr double kMost = 2147483647;
  return value > -kMost - 2 && value < kMost + 1 ? static_cast<int32_t>(value) : std::numeric_limits<int32_t>::min();
}

int32_t pixel_at(double place) { return place < 0 ? -1 : as_int(place); }

int32_t fixed(double value) {
  const double scaled = value * 65536.0 + 0.5;
  return as_int(scaled < 0 ? std::floor(scaled) : scaled);
}

// What a step of Pillow's fixed-point arithmetic comes to after `times` of them, without a largest number.
int32_t after(int32_t from, int32_t step, int32_t times) {
  return static_cast<int32_t>(static_cast<uint32_t>(from) + static_cast<uint32_t>(step) * static_cast<uint32_t>(times));
}

bool is_fixed(const Warp& warp) {
  const double* const by = warp.by;
  for (const int32_t x : {0, warp.out_width}) {
    for (const int32_t y : {0, warp.out_height}) {
      if (!(std::fabs(x * by[0] + y * by[1] + by[2]) < 32768.0 && std::fabs(x * by[3] + y * by[4] + by[5]) < 32768.0)) return false;
    }
  }
  return true;
}

// Then no pixels are mixed.
bool is_moved_by_pixels(const Warp& warp) {
  const double* const by = warp.by;
  const auto is_whole = [](double number) { return std::fabs(number) < 1e9 && number == std::floor(number); };
  return !warp.is_perspective && by[0] == 1 && by[1] == 0 && by[3] == 0 && by[4] == 1 && is_whole(by[2]) && is_whole(by[5]);
}

int64_t divided_up(int64_t value, int64_t by) { return value > 0 ? (value - 1) / by + 1 : -(-value / by); }

// [first, end) of those i below `count` for which low <= from + i * step < high.
std::pair<int32_t, int32_t> within(int64_t from, int64_t step, int64_t low, int64_t high, int32_t count) {
  int64_t first = 0;
  int64_t end = from >= low && from < high ? count : 0;
  if (step > 0) {
    first = divided_up(low - from, step);
    end = divided_up(high - from, step);
  } else if (step < 0) {
    first = divided_up(from - high + 1, -step);
    end = divided_up(from - low + 1, -step);
  }
  first = std::clamp<int64_t>(first, 0, count);
  return {static_cast<int32_t>(first), static_cast<int32_t>(std::clamp<int64_t>(end, first, count))};
}

class Warper {
 public:
  Warper(const Warp& warp, const Box& need, const Pixels& source, const Pixels& out, const WarpRows& rows)
      : warp_(warp), need_(need), source_(source), out_(out), rows_(rows) {}

  void run() {
    if (is_moved_by_pixels(warp_)) return scale();
    if (warp_.filter != Filter::nearest || warp_.is_perspective) return mix();
    if (warp_.by[1] == 0 && warp_.by[3] == 0) return scale();
    if (is_fixed(warp_)) return step_in_fixed_point();
    step_in_double();
  }

 private:
  bool holds(int32_t x, int32_t y) const {
    return x >= need_.x && x < need_.x + need_.width && y >= need_.y && y < need_.y + need_.height;
  }
  const uint8_t* pixel(int32_t x, int32_t y) const { return source_.row(y - need_.y) + 4 * static_cast<ptrdiff_t>(x - need_.x); }
  void put(int32_t x, int32_t y, uint8_t* out) const {
    if (holds(x, y)) copy_pixel(pixel(x, y), out);
  }

  // Pillow's own way for what is only scaled and moved: a column's place is the sum of steps.
  void scale() {
    const Box& region = warp_.region;
    std::vector<ptrdiff_t> columns;  // of those that are inside, which lie side by side
    int32_t first = region.width;
    double place = warp_.by[2] + warp_.by[0] * 0.5;
    for (int32_t x = 0; x < region.x + region.width; ++x, place += warp_.by[0]) {
      const int32_t column = pixel_at(place);
      if (x < region.x || !holds(column, need_.y)) continue;
      if (columns.empty()) first = x - region.x;
      columns.push_back(4 * static_cast<ptrdiff_t>(column - need_.x));
    }
    const auto count = static_cast<int32_t>(columns.size());
    const bool is_moved_only = count > 0 && warp_.by[0] == 1 && columns.back() - columns.front() == 4 * (ptrdiff_t{count} - 1);
    place = warp_.by[5] + warp_.by[4] * 0.5;
    for (int32_t y = 0; y < region.y; ++y) place += warp_.by[4];
    for (int32_t y = 0; y < region.height; ++y, place += warp_.by[4]) {
      uint8_t* to = out_.row(y);
      const int32_t row = pixel_at(place);
      if (count == 0 || row < need_.y || row >= need_.y + need_.height) {
        fill_row(warp_, region.width, to);
        continue;
      }
      fill_row(warp_, first, to);
      to += 4 * static_cast<ptrdiff_t>(first);
      const uint8_t* const from = source_.row(row - need_.y);
      if (is_moved_only) {
        std::memcpy(to, from + columns.front(), 4 * columns.size());
        to += 4 * columns.size();
      } else {
        for (const ptrdiff_t column : columns) {
          copy_pixel(from + column, to);
          to += 4;
        }
      }
      fill_row(warp_, region.width - first - count, to);
    }
  }

  // 16 bits before the point and 16 behind it.
  void step_in_fixed_point() {
    const double* const by = warp_.by;
    const Box& region = warp_.region;
    const int32_t dx = fixed(by[0]);
    const int32_t dy = fixed(by[3]);
    const int32_t first_x = after(fixed(by[2] + by[0] * 0.5 + by[1] * 0.5), dx, region.x);
    const int32_t first_y = after(fixed(by[5] + by[3] * 0.5 + by[4] * 0.5), dy, region.x);
    for (int32_t row = 0; row < region.height; ++row) {
      const int32_t x = after(first_x, fixed(by[1]), region.y + row);
      const int32_t y = after(first_y, fixed(by[4]), region.y + row);
      step_along(x, y, dx, dy, out_.row(row));
    }
  }

  void step_along(int32_t x, int32_t y, int32_t dx, int32_t dy, uint8_t* out) {
    const int32_t count = warp_.region.width;
    if (wraps(x, dx) || wraps(y, dy)) {
      fill_row(warp_, count, out);
      for (int32_t i = 0; i < count; ++i) put(after(x, dx, i) >> 16, after(y, dy, i) >> 16, out + 4 * static_cast<ptrdiff_t>(i));
      return;
    }
    constexpr int64_t kOne = 65536;
    const auto along_x = within(x, dx, need_.x * kOne, (need_.x + int64_t{need_.width}) * kOne, count);
    const auto along_y = within(y, dy, need_.y * kOne, (need_.y + int64_t{need_.height}) * kOne, count);
    const int32_t first = std::max(along_x.first, along_y.first);
    const int32_t end = std::max(first, std::min(along_x.second, along_y.second));
    fill_row(warp_, first, out);
    fill_row(warp_, count - end, out + 4 * static_cast<ptrdiff_t>(end));
    if (first == end) return;
    const auto from_x = static_cast<int32_t>(x + int64_t{dx} * first - need_.x * kOne);
    const auto from_y = static_cast<int32_t>(y + int64_t{dy} * first - need_.y * kOne);
    rows_.nearest(source_, from_x, from_y, dx, dy, end - first, out + 4 * static_cast<ptrdiff_t>(first));
  }

  bool wraps(int32_t from, int32_t step) const {
    const int64_t last = from + int64_t{step} * warp_.region.width;
    return last < std::numeric_limits<int32_t>::min() || last > std::numeric_limits<int32_t>::max();
  }

  // What lies too far away for 16 bits.
  void step_in_double() {
    const double* const by = warp_.by;
    const Box& region = warp_.region;
    double row_x = by[2] + by[1] * 0.5 + by[0] * 0.5;
    double row_y = by[5] + by[4] * 0.5 + by[3] * 0.5;
    for (int32_t y = 0; y < region.y + region.height; ++y, row_x += by[1], row_y += by[4]) {
      if (y < region.y) continue;
      uint8_t* const to = out_.row(y - region.y);
      fill_row(warp_, region.width, to);
      double at_x = row_x;
      double at_y = row_y;
      for (int32_t x = 0; x < region.x + region.width; ++x, at_x += by[0], at_y += by[3]) {
        if (x >= region.x) put(pixel_at(at_x), pixel_at(at_y), to + 4 * static_cast<ptrdiff_t>(x - region.x));
      }
    }
  }

  // Each place by itself, in double.
  void mix() {
    const Box& region = warp_.region;
    const bool is_nearest = warp_.filter == Filter::nearest;
    const int32_t before = warp_.filter == Filter::bicubic ? 1 : 0;
    const int32_t around = is_nearest ? 0 : 2 * before + 1;
    const Box inner = {need_.x + before, need_.y + before, std::max(need_.width - around, 0), std::max(need_.height - around, 0)};
    const WarpMap map = {warp_.by, warp_.is_perspective, static_cast<double>(warp_.in_width), static_cast<double>(warp_.in_height),
                         is_nearest ? 0.0 : 0.5, inner};
    for (int32_t y = 0; y < region.height; ++y) {
      const auto [first, end] = warp_.filter == Filter::bilinear ? inside(map, region.y + y) : std::pair{0, 0};
      mix_row(map, y, 0, first);
      uint8_t* const to = out_.row(y) + 4 * static_cast<ptrdiff_t>(first);
      if (first < end) rows_.bilinear_inside(map, source_, need_, region.x + first, region.y + y, end - first, to);
      mix_row(map, y, end, region.width);
    }
  }

  // Columns [first, end) of the region whose places in row y are all in map.inner, and nearly all of those; often none.
  std::pair<int32_t, int32_t> inside(const WarpMap& map, int32_t y) const {
    const Box& region = warp_.region;
    const double low[2] = {static_cast<double>(map.inner.x), static_cast<double>(map.inner.y)};
    const double size[2] = {static_cast<double>(map.inner.width), static_cast<double>(map.inner.height)};
    double first = 1;  // of the roundings in what follows
    double end = region.width - 1.0;
    for (int axis = 0; axis < 2; ++axis) {
      const double* const by = map.by + 3 * axis;
      const double from = by[0] * (region.x + 0.5) + by[1] * (y + 0.5) + by[2] - map.shift - low[axis];
      if (by[0] == 0) {
        if (!(from >= 0 && from < size[axis])) return {0, 0};
        continue;
      }
      const double one = -from / by[0];
      const double other = (size[axis] - from) / by[0];
      first = std::max(first, std::min(one, other) + 2);
      end = std::min(end, std::max(one, other) - 2);
    }
    constexpr double kWorthIt = 8;
    if (map.is_perspective || !(end - first >= kWorthIt)) return {0, 0};
    const auto from = static_cast<int32_t>(first);
    const auto to = static_cast<int32_t>(end);
    // Products and sums are rounded in order, so what is between two places lies between them.
    return is_inner(map, region.x + from, y) && is_inner(map, region.x + to - 1, y) ? std::pair{from, to} : std::pair{0, 0};
  }

  static bool is_inner(const WarpMap& map, int32_t x, int32_t y) {
    Places place;
    kWarpScalar.locate(map, x, y, 1, &place);
    return (place.inner & 1) != 0;
  }

  void mix_row(const WarpMap& map, int32_t y, int32_t first, int32_t end) {
    const Box& region = warp_.region;
    for (int32_t x = first; x < end; x += kWarpChunk) {
      const int32_t count = std::min(kWarpChunk, end - x);
      rows_.locate(map, region.x + x, region.y + y, count, &places_);
      uint8_t* const to = out_.row(y) + 4 * static_cast<ptrdiff_t>(x);
      if (warp_.filter != Filter::nearest) {
        mix_chunk(count, to);
        continue;
      }
      fill_row(warp_, count, to);
      for (int32_t i = 0; i < count; ++i) {
        if (places_.x[i] != kOutside) put(places_.x[i], places_.y[i], to + 4 * static_cast<ptrdiff_t>(i));
      }
    }
  }

  void mix_chunk(int32_t count, uint8_t* to) {
    const bool is_cubic = warp_.filter == Filter::bicubic;
    const auto mix_here = is_cubic ? rows_.bicubic : rows_.bilinear;
    for (int32_t i = 0; i < count;) {
      uint8_t* const at = to + 4 * static_cast<ptrdiff_t>(i);
      const uint64_t others = ~(places_.inner >> i);
      const int32_t run = std::min(others == 0 ? kWarpChunk : __builtin_ctzll(others), count - i);
      if (run > 0) {
        mix_here(source_, need_, places_, i, run, at);
        i += run;
        continue;
      }
      int32_t outside = 0;
      while (i + outside < count && places_.x[i + outside] == kOutside) ++outside;
      fill_row(warp_, outside, at);
      i += outside;
      if (outside > 0) continue;
      mix_at_border(i, is_cubic ? 1 : 0, is_cubic ? 4 : 2, at);
      ++i;
    }
  }

  // Beyond the border its pixels go on. Of a row that is not there Pillow takes the one before it, as mixed along.
  void mix_at_border(int32_t i, int32_t before, int32_t taps, uint8_t* out) const {
    uint8_t around[4][16];
    for (int32_t row = 0; row < taps; ++row) {
      const int64_t y = std::clamp<int64_t>(int64_t{places_.y[i]} - before + row, need_.y, need_.y + need_.height - 1);
      for (int32_t column = 0; column < taps; ++column) {
        const int64_t x = std::clamp<int64_t>(int64_t{places_.x[i]} - before + column, need_.x, need_.x + need_.width - 1);
        copy_pixel(pixel(static_cast<int32_t>(x), static_cast<int32_t>(y)), around[row] + 4 * static_cast<ptrdiff_t>(column));
      }
    }
    const double right = places_.right[i];
    const double down = places_.down[i];
    for (int c = 0; c < 3; ++c) {
      double rows[4];
      for (int32_t row = 0; row < taps; ++row) {
        const uint8_t* const at = around[row] + c;
        rows[row] = taps == 2 ? mixed(at[0], at[4], right) : cubic(at[0], at[4], at[8], at[12], right);
      }
      out[c] = cut(taps == 2 ? mixed(rows[0], rows[1], down) : cubic(rows[0], rows[1], rows[2], rows[3], down));
    }
  }

  const Warp& warp_;
  const Box need_;
  const Pixels& source_;
  const Pixels& out_;
  const WarpRows& rows_;
  Places places_;
};

}  // namespace

Box needed_input(const Warp& warp) {
  constexpr double kMostCertain = 1e9;  // up to here roundings are far below the margin
  const Box all = {0, 0, warp.in_width, warp.in_height};
  if (warp.is_perspective) return all;
  // The map is affine, so the corners' places are the outermost. Steps of fixed-point numbers go astray by half a unit each.
  const double margin = 4 + (static_cast<double>(warp.out_width) + warp.out_height) / 65536;
  double low[2] = {1e300, 1e300};
  double high[2] = {-1e300, -1e300};
  for (const int32_t x : {warp.region.x, warp.region.x + warp.region.width}) {
    for (const int32_t y : {warp.region.y, warp.region.y + warp.region.height}) {
      for (int axis = 0; axis < 2; ++axis) {
        const double* const by = warp.by + 3 * axis;
        const double place = by[0] * x + by[1] * y + by[2];
        low[axis] = std::min(low[axis], place - margin);
        high[axis] = std::max(high[axis], place + margin);
        if (std::fabs(by[0]) * warp.out_width + std::fabs(by[1]) * warp.out_height + std::fabs(by[2]) > kMostCertain) return all;
      }
    }
  }
  Box need;
  const auto clipped = [](double place, int32_t most) { return static_cast<int32_t>(std::clamp<double>(place, 0, most)); };
  need.x = clipped(std::floor(low[0]), warp.in_width - 1);
  need.y = clipped(std::floor(low[1]), warp.in_height - 1);
  need.width = clipped(std::ceil(high[0]), warp.in_width) - need.x;
  need.height = clipped(std::ceil(high[1]), warp.in_height) - need.y;
  need.width = std::max(need.width, 1);
  need.height = std::max(need.height, 1);
  return need;
}

void warp(const Warp& warp, const Pixels& source, const Pixels& out, Simd simd) {
  Warper(warp, needed_input(warp), source, out, rows_of(simd)).run();
}

}  // namespace fastload::image
