// Warps of random images by random maps, absurd ones among them: parts of them and every variant are what the whole is in scalar, and
// nothing beside what a warp asks for is read. For the sanitizers; that the whole is Pillow's is tested in Python.
#include <cstdio>
#include <cstring>

#include "dice.h"
#include "exact_image.h"
#include "image/warp.h"

namespace {

using namespace fastload;
using given::Dice;
using Image = given::ExactImage;

constexpr int kRounds = 1500;

image::Warp random_warp(Dice& dice) {
  constexpr double kSizes[] = {1, 1, 1, 3, 50, 700, 1e5, 1e9, 1e16, 1e30, 1e98};
  constexpr image::Filter kFilters[] = {image::Filter::nearest, image::Filter::bilinear, image::Filter::bicubic};
  image::Warp warp;
  warp.in_width = dice.between(1, dice.once_in(2) ? 5 : 90);
  warp.in_height = dice.between(1, dice.once_in(2) ? 5 : 90);
  warp.out_width = dice.between(1, dice.once_in(3) ? 400 : 90);
  warp.out_height = dice.between(1, 90);
  warp.filter = kFilters[dice.between(0, 2)];
  warp.is_perspective = dice.once_in(3);
  for (int i = 0; i < (warp.is_perspective ? 8 : 6); ++i) {
    const double size = kSizes[dice.between(0, dice.once_in(2) ? 3 : 10)];
    warp.by[i] = dice.once_in(5) ? dice.between(-2, 2) : dice.number(size) * (i % 3 == 2 ? 20 : 1);
    if (i > 5 && !dice.once_in(3)) warp.by[i] = dice.number(0.02);
  }
  if (dice.once_in(6)) warp.by[1] = warp.by[3] = 0;
  return warp;
}

Box random_part(Dice& dice, const image::Warp& warp) {
  const int32_t x = dice.between(0, warp.out_width - 1);
  const int32_t y = dice.between(0, warp.out_height - 1);
  return {x, y, dice.between(1, warp.out_width - x), dice.between(1, warp.out_height - y)};
}

Image warped(image::Warp warp, const Box& region, const Image& whole, image::Simd simd) {
  warp.region = region;
  const Box need = image::needed_input(warp);
  const Image part(need.width, need.height);
  const size_t bytes = 4 * static_cast<size_t>(need.width);
  for (int32_t y = 0; y < need.height; ++y) {
    std::memcpy(part.pixels().row(y), whole.pixels().row(need.y + y) + 4 * static_cast<ptrdiff_t>(need.x), bytes);
  }
  Image out(region.width, region.height);
  image::warp(warp, part.pixels(), out.pixels(), simd);
  return out;
}

bool same(const Image& whole, const Image& part, const Box& region) {
  for (int32_t y = 0; y < region.height; ++y) {
    const uint8_t* one = whole.pixels().row(region.y + y) + 4 * static_cast<ptrdiff_t>(region.x);
    const uint8_t* other = part.pixels().row(y);
    for (int32_t x = 0; x < region.width; ++x, one += 4, other += 4) {
      if (std::memcmp(one, other, 3) != 0) return false;
    }
  }
  return true;
}

}  // namespace

int main() {
  Dice dice;
  for (int round = 0; round < kRounds; ++round) {
    const image::Warp warp = random_warp(dice);
    const Image source(warp.in_width, warp.in_height);
    const int most = dice.once_in(4) ? 1 : 255;  // few values: what is mixed is near a whole number
    for (int32_t i = 0; i < 4 * warp.in_width * warp.in_height; ++i) {
      source.pixels().data[i] = static_cast<uint8_t>(dice.between(0, most) * (most == 1 ? 40 : 1));
    }
    const Box all = {0, 0, warp.out_width, warp.out_height};
    const Image whole = warped(warp, all, source, image::Simd::scalar);
    for (const image::Simd simd : {image::Simd::scalar, image::best_simd()}) {
      const Box region = dice.once_in(2) ? all : random_part(dice, warp);
      if (same(whole, warped(warp, region, source, simd), region)) continue;
      std::printf("round %d: a part is not what the whole is\n", round);
      return 1;
    }
  }
  std::printf("%d warps\n", kRounds);
  return 0;
}
