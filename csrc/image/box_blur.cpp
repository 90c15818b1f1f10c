#include "image/box_blur.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "image/box_pass.h"
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

BoxPass pass_of([[maybe_unused]] const BoxWeights& weights, [[maybe_unused]] Simd simd) {
#if defined(__x86_64__)
  if (simd != Simd::scalar && weights.radius <= kMostRadiusOfAvx2) return box_pass_avx2;
#endif
  return box_pass_scalar;
}

Pixels packed(uint8_t* memory, int32_t width, int32_t height) {
  return {memory, width, height, 4 * static_cast<ptrdiff_t>(width)};
}

}  // namespace

void box_pass_scalar(const BoxWeights& weights, const Pixels& source, uint8_t* sums, const Pixels& out) {
  const auto row_at = [&source](int32_t y) { return source.row(std::clamp(y, 0, source.height - 1)); };
  const ptrdiff_t bytes = 4 * static_cast<ptrdiff_t>(source.width);
  auto* const columns = reinterpret_cast<uint32_t*>(sums);
  std::fill_n(columns, bytes, 0u);
  for (int32_t y = -weights.radius - 1; y < weights.radius; ++y) {
    const uint8_t* const row = row_at(y);
    for (ptrdiff_t i = 0; i < bytes; ++i) columns[i] += row[i];
  }
  for (int32_t y = 0; y < source.height; ++y) {
    const uint8_t* const before = row_at(y - weights.radius - 1);
    const uint8_t* const entering = row_at(y + weights.radius);
    const uint8_t* const after = row_at(y + weights.radius + 1);
    uint8_t* const to = out.row(y);
    for (ptrdiff_t i = 0; i < bytes; ++i) {
      columns[i] += static_cast<uint32_t>(entering[i] - before[i]);
      const auto ends = static_cast<uint32_t>(before[i] + after[i]);
      to[i] = static_cast<uint8_t>((columns[i] * weights.whole + ends * weights.part + (1u << 23)) >> 24);
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
  const size_t longest = 4 * static_cast<size_t>(std::max(pixels.width, pixels.height));
  const size_t sum_bytes = (4 * longest + Buffer::kAlignment - 1) / Buffer::kAlignment * Buffer::kAlignment;
  const size_t image_bytes = 4 * static_cast<size_t>(pixels.width) * static_cast<size_t>(pixels.height) + kPixelSlack;
  uint8_t* const sums = scratch->reserve(sum_bytes + 2 * image_bytes);
  uint8_t* const memory[2] = {sums + sum_bytes, sums + sum_bytes + image_bytes};
  if (blur.x != 0) {
    const BoxWeights weights = weights_of(blur.x);
    const BoxPass pass = pass_of(weights, simd);
    const Pixels turned[2] = {packed(memory[0], pixels.height, pixels.width), packed(memory[1], pixels.height, pixels.width)};
    transpose(pixels, turned[0]);
    for (int i = 0; i < kPasses; ++i) pass(weights, turned[i % 2], sums, turned[1 - i % 2]);
    transpose(turned[kPasses % 2], pixels);
  }
  if (blur.y == 0) return;
  const BoxWeights weights = weights_of(blur.y);
  const BoxPass pass = pass_of(weights, simd);
  const Pixels one = packed(memory[0], pixels.width, pixels.height);
  const Pixels other = packed(memory[1], pixels.width, pixels.height);
  pass(weights, pixels, sums, one);
  pass(weights, one, sums, other);
  pass(weights, other, sums, pixels);
}

}  // namespace fastload::image
