#include "image/recolour.h"

#include <algorithm>
#include <cstring>

#include "image/recolour_rows.h"

namespace fastload::image {

namespace {

// What each value of each channel becomes.
struct Values {
  uint8_t of[3][256];
};

// How many pixels have each value of each channel.
struct Histogram {
  int64_t of[3][256] = {};

  explicit Histogram(const Pixels& pixels) {
    for (int32_t y = 0; y < pixels.height; ++y) {
      const uint8_t* pixel = pixels.row(y);
      for (int32_t x = 0; x < pixels.width; ++x, pixel += 4) {
        for (int c = 0; c < 3; ++c) ++of[c][pixel[c]];
      }
    }
  }
};

// The darkest value becomes 0 and the lightest 255, in double.
void stretch(const int64_t counts[256], uint8_t values[256]) {
  int low = 0;
  int high = 255;
  while (low < 255 && counts[low] == 0) ++low;
  while (high > 0 && counts[high] == 0) --high;
  for (int i = 0; i < 256; ++i) values[i] = static_cast<uint8_t>(i);
  if (high <= low) return;
  const double scale = 255.0 / (high - low);
  const double offset = -low * scale;
  for (int i = 0; i < 256; ++i) values[i] = static_cast<uint8_t>(std::clamp(static_cast<int>(i * scale + offset), 0, 255));
}

void flatten(const int64_t counts[256], uint8_t values[256]) {
  int64_t pixels = 0;
  int64_t last = 0;
  int used = 0;
  for (int i = 0; i < 256; ++i) {
    pixels += counts[i];
    if (counts[i] == 0) continue;
    last = counts[i];
    ++used;
  }
  const int64_t step = used > 1 ? (pixels - last) / 255 : 0;
  int64_t sum = step / 2;
  for (int i = 0; i < 256; ++i) {
    values[i] = static_cast<uint8_t>(step == 0 ? i : std::min<int64_t>(sum / step, 255));
    sum += counts[i];
  }
}

Values values_of(const Recolour& recolour, const Pixels& pixels) {
  Values values;
  if (depends_on_all(recolour.change)) {
    const Histogram histogram(pixels);
    const auto make = recolour.change == Change::equalize ? flatten : stretch;
    for (int c = 0; c < 3; ++c) make(histogram.of[c], values.of[c]);
    return values;
  }
  for (int i = 0; i < 256; ++i) {
    int value = i & recolour.level;
    if (recolour.change == Change::solarize) value = i < recolour.level ? i : 255 - i;
    if (recolour.change == Change::brighten_dark) value = i < 128 ? std::min(255, i + recolour.level) : i;
    values.of[0][i] = static_cast<uint8_t>(value);
  }
  for (int c = 1; c < 3; ++c) std::memcpy(values.of[c], values.of[0], sizeof values.of[0]);
  return values;
}

void replace(const Values& values, uint8_t* rgbx, int32_t count) {
  for (int32_t i = 0; i < count; ++i, rgbx += 4) {
    for (int c = 0; c < 3; ++c) rgbx[c] = values.of[c][rgbx[c]];
  }
}

void reorder(const uint8_t order[3], uint8_t* rgbx, int32_t count) {
  for (int32_t i = 0; i < count; ++i, rgbx += 4) {
    const uint8_t rgb[3] = {rgbx[order[0]], rgbx[order[1]], rgbx[order[2]]};
    std::memcpy(rgbx, rgb, sizeof rgb);
  }
}

// Of the gray image, rounded.
uint8_t mean_gray(const Pixels& pixels, const RecolourRows& rows) {
  uint64_t sum = 0;
  for (int32_t y = 0; y < pixels.height; ++y) sum += rows.sum_of_gray(pixels.row(y), pixels.width);
  const double mean = static_cast<double>(sum) / (static_cast<double>(pixels.width) * pixels.height);
  return static_cast<uint8_t>(mean + 0.5);
}

template <typename RowFn>
void each_row(const Pixels& pixels, const Box& want, RowFn change) {
  for (int32_t y = want.y; y < want.y + want.height; ++y) change(pixels.row(y) + 4 * static_cast<ptrdiff_t>(want.x), want.width);
}

}  // namespace

bool depends_on_all(Change change) {
  return change == Change::contrast || change == Change::autocontrast || change == Change::equalize;
}

void recolour(const Recolour& recolour, const Pixels& pixels, const Box& want, Simd simd) {
  const RecolourRows& rows = recolour_rows(simd);
  const float factor = recolour.factor;
  switch (recolour.change) {
    case Change::brightness:
    case Change::contrast: {
      const uint8_t from = recolour.change == Change::contrast ? mean_gray(pixels, rows) : uint8_t{0};
      each_row(pixels, want, [&](uint8_t* row, int32_t count) { rows.blend(row, count, from, factor); });
      return;
    }
    case Change::saturation:
      each_row(pixels, want, [&](uint8_t* row, int32_t count) { rows.saturate(row, count, factor); });
      return;
    case Change::hue:
      each_row(pixels, want, [&](uint8_t* row, int32_t count) { rows.shift_hue(row, count, recolour.level); });
      return;
    case Change::channels:
      each_row(pixels, want, [&](uint8_t* row, int32_t count) { reorder(recolour.order, row, count); });
      return;
    case Change::autocontrast:
    case Change::equalize:
    case Change::solarize:
    case Change::posterize:
    case Change::brighten_dark: {
      const Values values = values_of(recolour, pixels);
      each_row(pixels, want, [&](uint8_t* row, int32_t count) { replace(values, row, count); });
      return;
    }
    case Change::sharpness: return;  // see sharpen()
  }
}

Box sharpening_needs(const Box& want, int32_t width, int32_t height) {
  const int32_t x = std::max(want.x - 1, 0);
  const int32_t y = std::max(want.y - 1, 0);
  return {x, y, std::min(want.x + want.width + 1, width) - x, std::min(want.y + want.height + 1, height) - y};
}

void sharpen(float factor, const Pixels& source, const Box& want, int32_t width, int32_t height, const Pixels& out, Simd simd) {
  const Box need = sharpening_needs(want, width, height);
  const int32_t left = want.x - need.x;
  for (int32_t y = want.y; y < want.y + want.height; ++y) {
    const uint8_t* row = source.row(y - need.y) + 4 * static_cast<ptrdiff_t>(left);
    uint8_t* to = out.row(y - want.y);
    std::memcpy(to, row, 4 * static_cast<size_t>(want.width));  // Pillow leaves the image's border as it is
    if (y == 0 || y == height - 1 || width < 3) continue;
    const int32_t first = want.x == 0 ? 1 : 0;
    const int32_t end = want.x + want.width == width ? want.width - 1 : want.width;
    if (first >= end) continue;
    const ptrdiff_t at = 4 * static_cast<ptrdiff_t>(first);
    recolour_rows(simd).sharpen(row - source.stride + at, row + at, row + source.stride + at, to + at, end - first, factor);
  }
}

}  // namespace fastload::image
