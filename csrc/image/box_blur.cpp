#include "image/box_blur.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "image/box_rows.h"
#include "image/geometry.h"

namespace fastload::image {

namespace {

constexpr int kPasses = 3;

// How far each box reaches so that three of them have the standard deviation `sigma`. Gwosdek, Grewenig, Bruhn, Weickert (2011).
float box_radius(float sigma) {
  const float variance = sigma * sigma / kPasses;
  const auto length = static_cast<float>(std::sqrt(12.0 * static_cast<double>(variance) + 1.0));
  const auto whole = static_cast<float>(std::floor((static_cast<double>(length) - 1.0) / 2.0));
  float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  part /= 6 * (variance - (whole + 1) * (whole + 1));
  return whole + part;
}

BoxWeights weights_of(float sigma) {
  const float radius = box_radius(sigma);
  BoxWeights weights;
  weights.radius = static_cast<int32_t>(radius);
  weights.whole = static_cast<uint32_t>(static_cast<float>(1u << 24) / (radius * 2 + 1));
  weights.part = ((1u << 24) - static_cast<uint32_t>(weights.radius * 2 + 1) * weights.whole) / 2;
  return weights;
}

int32_t margin_of(float sigma) { return sigma == 0 ? 0 : kPasses * (weights_of(sigma).radius + 1); }

BoxRowsFn rows_of([[maybe_unused]] Simd simd) {
#if defined(__x86_64__)
  if (simd != Simd::scalar) return box_rows_avx2;
#endif
  return box_rows_scalar;
}

// A line of pixel pairs, with room for its two ends.
struct Line {
  uint8_t* pixels;
  int32_t count;

  void repeat_ends(int32_t beyond) const {
    const uint8_t* const last = pixels + 8 * static_cast<ptrdiff_t>(count - 1);
    for (ptrdiff_t i = 1; i <= beyond; ++i) {
      std::memcpy(pixels - 8 * i, pixels, 8);
      std::memcpy(pixels + 8 * (count - 1 + i), last, 8);
    }
  }
};

size_t line_bytes(int32_t count, const BoxWeights& weights) {
  return 8 * (static_cast<size_t>(count) + 2 * static_cast<size_t>(weights.radius + 1));
}

// `memory` has room for two lines.
void blur_rows(const BoxWeights& weights, const Pixels& pixels, uint8_t* memory, BoxRowsFn rows) {
  const int32_t beyond = weights.radius + 1;
  Line line = {memory + 8 * static_cast<ptrdiff_t>(beyond), pixels.width};
  Line other = {line.pixels + line_bytes(pixels.width, weights), pixels.width};
  for (int32_t y = 0; y < pixels.height; y += 2) {
    uint8_t* const row = pixels.row(y);
    uint8_t* const below = pixels.row(std::min(y + 1, pixels.height - 1));
    for (ptrdiff_t x = 0; x < pixels.width; ++x) {
      std::memcpy(line.pixels + 8 * x, row + 4 * x, 4);
      std::memcpy(line.pixels + 8 * x + 4, below + 4 * x, 4);
    }
    for (int pass = 0; pass < kPasses; ++pass) {
      line.repeat_ends(beyond);
      rows(weights, line.pixels, line.count, other.pixels);
      std::swap(line, other);
    }
    for (ptrdiff_t x = 0; x < pixels.width; ++x) {
      std::memcpy(row + 4 * x, line.pixels + 8 * x, 4);
      std::memcpy(below + 4 * x, line.pixels + 8 * x + 4, 4);
    }
  }
}

}  // namespace

void box_rows_scalar(const BoxWeights& weights, const uint8_t* line, int32_t count, uint8_t* out) {
  const ptrdiff_t reach = 8 * static_cast<ptrdiff_t>(weights.radius);
  for (int c = 0; c < 8; ++c) {
    const uint8_t* const channel = line + c;
    uint32_t sum = 0;
    for (ptrdiff_t x = -reach - 8; x < reach; x += 8) sum += channel[x];
    for (ptrdiff_t x = 0; x < 8 * static_cast<ptrdiff_t>(count); x += 8) {
      const uint32_t left = channel[x - reach - 8];
      const uint32_t right = channel[x + reach + 8];
      sum += channel[x + reach] - left;
      out[x + c] = static_cast<uint8_t>((sum * weights.whole + (left + right) * weights.part + (1u << 23)) >> 24);
    }
  }
}

Box box_blur_needs(const BoxBlur& blur, const Box& want, int32_t width, int32_t height) {
  const int32_t beside = margin_of(blur.x);
  const int32_t above = margin_of(blur.y);
  const int32_t x = std::max(want.x - beside, 0);
  const int32_t y = std::max(want.y - above, 0);
  return {x, y, std::min(want.x + want.width + beside, width) - x, std::min(want.y + want.height + above, height) - y};
}

void box_blur(const BoxBlur& blur, const Pixels& pixels, Buffer* scratch, Simd simd) {
  const BoxRowsFn rows = rows_of(simd);
  const BoxWeights across = weights_of(blur.x);
  const BoxWeights down = weights_of(blur.y);
  const size_t lines = 2 * std::max(line_bytes(pixels.width, across), line_bytes(pixels.height, down));
  const size_t turned_bytes = 4 * static_cast<size_t>(pixels.width) * static_cast<size_t>(pixels.height);
  uint8_t* const memory = scratch->reserve(lines + turned_bytes + kPixelSlack);
  if (blur.x != 0) blur_rows(across, pixels, memory, rows);
  if (blur.y == 0) return;
  const Pixels turned = {memory + lines, pixels.height, pixels.width, 4 * static_cast<ptrdiff_t>(pixels.height)};
  transpose(pixels, turned);
  blur_rows(down, turned, memory, rows);
  transpose(turned, pixels);
}

}  // namespace fastload::image
