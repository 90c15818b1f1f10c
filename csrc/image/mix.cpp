#include "image/mix.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "image/mix_rows.h"

namespace fastload::image {

namespace {

using Table = std::array<uint8_t, 256>;

const MixRows& rows_of(Simd simd) {
#if defined(__x86_64__)
  if (simd != Simd::scalar) return kMixAvx2;
#endif
  (void)simd;
  return kMixScalar;
}

uint8_t bounded(float value) { return static_cast<uint8_t>(std::min(std::max(value, 0.0f), 255.0f)); }

template <typename PixelFn>
void each_pixel(const Pixels& image, PixelFn visit) {
  for (int32_t y = 0; y < image.height; ++y) {
    uint8_t* pixel = image.row(y);
    for (int32_t x = 0; x < image.width; ++x, pixel += 4) visit(pixel);
  }
}

void look_up(const Table tables[3], const Pixels& image) {
  each_pixel(image, [&](uint8_t* pixel) {
    for (int c = 0; c < 3; ++c) pixel[c] = tables[c][pixel[c]];
  });
}

void count_values(const Pixels& image, int64_t counts[3][256]) {
  std::memset(counts, 0, 3 * 256 * sizeof counts[0][0]);
  each_pixel(image, [&](const uint8_t* pixel) {
    for (int c = 0; c < 3; ++c) ++counts[c][pixel[c]];
  });
}

Table identity() {
  Table table;
  for (int v = 0; v < 256; ++v) table[static_cast<size_t>(v)] = static_cast<uint8_t>(v);
  return table;
}

Table autocontrast(const int64_t counts[256]) {
  int least = 0;
  int most = 255;
  while (counts[least] == 0) ++least;
  while (counts[most] == 0) --most;
  Table table = identity();
  if (least == most) return table;
  const float inverse = 1.0f / static_cast<float>(most - least);  // torch divides a number by a tensor so
  const float scale = inverse * 255.0f;
  for (int v = 0; v < 256; ++v) table[static_cast<size_t>(v)] = bounded(static_cast<float>(v - least) * scale);
  return table;
}

Table equalize(const int64_t counts[256]) {
  int last = 255;
  while (counts[last] == 0) --last;
  int64_t others = 0;
  for (int v = 0; v < last; ++v) others += counts[v];
  const int64_t step = others / 255;
  Table table = identity();
  if (step == 0) return table;
  int64_t before = 0;
  for (int v = 0; v < 256; ++v) {
    table[static_cast<size_t>(v)] = v == 0 ? uint8_t{0} : static_cast<uint8_t>(std::min<int64_t>((before + step / 2) / step, 255));
    before += counts[v];
  }
  return table;
}

// `grays` are those of the image.
Table contrast(const TensorOp& operation, const Pixels& grays) {
  int64_t sum = 0;
  each_pixel(grays, [&](const uint8_t* pixel) { sum += pixel[0]; });
  const float mean = static_cast<float>(sum) / static_cast<float>(int64_t{grays.width} * grays.height);
  const float others = operation.rest * mean;
  Table table;
  for (int v = 0; v < 256; ++v) {
    const float own = operation.ratio * static_cast<float>(v);
    table[static_cast<size_t>(v)] = bounded(own + others);
  }
  return table;
}

void copy(const Pixels& from, const Pixels& to) {
  for (int32_t y = 0; y < from.height; ++y) std::memcpy(to.row(y), from.row(y), 4 * static_cast<size_t>(from.width));
}

void make_grays(const MixRows& rows, const Pixels& image, const Pixels& out) {
  for (int32_t y = 0; y < image.height; ++y) rows.grays(image.row(y), image.width, out.row(y));
}

// The first and the last row and column stay.
void blur(const MixRows& rows, const Pixels& image, const Pixels& out) {
  copy(image, out);
  for (int32_t y = 1; y + 1 < image.height; ++y) {
    rows.blur(image.row(y - 1) + 4, image.row(y) + 4, image.row(y + 1) + 4, image.width - 2, out.row(y) + 4);
  }
}

}  // namespace

void Mixer::apply(const TensorOp& operation, bool is_gray, const GridStyle& grid, Pixels* image, Pixels* spare) {
  const MixRows& rows = rows_of(simd_);
  Table tables[3] = {operation.table, operation.table, operation.table};
  switch (operation.change) {
    case TensorChange::table: break;
    case TensorChange::autocontrast:
    case TensorChange::equalize: {
      int64_t counts[3][256];
      count_values(*image, counts);
      const bool equalizes = operation.change == TensorChange::equalize;
      for (int c = 0; c < 3; ++c) tables[c] = equalizes ? equalize(counts[c]) : autocontrast(counts[c]);
      break;
    }
    case TensorChange::contrast:
      if (!is_gray) make_grays(rows, *image, *spare);
      tables[0] = tables[1] = tables[2] = contrast(operation, is_gray ? *image : *spare);
      break;
    case TensorChange::saturation:
    case TensorChange::sharpness: {
      const bool sharpens = operation.change == TensorChange::sharpness;
      if (sharpens ? image->width <= 2 || image->height <= 2 : is_gray) return;
      sharpens ? blur(rows, *image, *spare) : make_grays(rows, *image, *spare);
      for (int32_t y = 0; y < image->height; ++y) {
        rows.blend(image->row(y), spare->row(y), image->width, operation.ratio, operation.rest);
      }
      return;
    }
    case TensorChange::warp: {
      float theta[3][2];
      const float halves[2] = {static_cast<float>(0.5 * image->width), static_cast<float>(0.5 * image->height)};
      for (int k = 0; k < 3; ++k) {
        for (int j = 0; j < 2; ++j) theta[k][j] = operation.by[3 * j + k] / halves[j];
      }
      for (int32_t y = 0; y < image->height; ++y) rows.warp(*image, theta, grid, y, spare->row(y));
      std::swap(*image, *spare);
      return;
    }
  }
  look_up(tables, *image);
}

void Mixer::run(const TensorOp& operation, bool is_gray, const GridStyle& grid, const Pixels& pixels) {
  Mix mix;
  mix.is_gray = is_gray;
  mix.grid = grid;
  mix.weight = 0;
  mix.chains.push_back({1, {std::make_shared<const TensorOp>(operation)}});
  run(mix, pixels);
}

void Mixer::run(const Mix& mix, const Pixels& pixels) {
  const ptrdiff_t stride = 4 * static_cast<ptrdiff_t>(pixels.width);
  const size_t bytes = static_cast<size_t>(stride) * static_cast<size_t>(pixels.height);
  uint8_t* const memory = images_.reserve((mix.chains.size() + 1) * bytes + kPixelSlack);
  Pixels spare = {memory, pixels.width, pixels.height, stride};
  std::vector<const uint8_t*> images;
  std::vector<float> weights = {mix.weight};
  for (size_t i = 0; i < mix.chains.size(); ++i) {
    Pixels image = {memory + (i + 1) * bytes, pixels.width, pixels.height, stride};
    copy(pixels, image);
    for (const auto& operation : mix.chains[i].operations) apply(*operation, mix.is_gray, mix.grid, &image, &spare);
    images.push_back(image.data);
    weights.push_back(mix.chains[i].weight);
  }
  std::vector<const uint8_t*> rows(images.size() + 1);
  for (int32_t y = 0; y < pixels.height; ++y) {
    rows[0] = pixels.row(y);
    for (size_t i = 0; i < images.size(); ++i) rows[i + 1] = images[i] + y * stride;
    rows_of(simd_).combine(rows.data(), weights.data(), static_cast<int32_t>(rows.size()), pixels.width, pixels.row(y));
  }
}

}  // namespace fastload::image
