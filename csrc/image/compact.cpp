#include "image/compact.h"

#include <cstring>

#include "image/compact_rows.h"

namespace fastload::image {

void spread_row_scalar(const uint8_t* rgb, uint8_t* rgbx, int32_t count) {
  for (int32_t i = 0; i < count; ++i) std::memcpy(rgbx + 4 * static_cast<ptrdiff_t>(i), rgb + 3 * static_cast<ptrdiff_t>(i), 4);
}

namespace {

void spread_gray(const uint8_t* gray, uint8_t* rgbx, int32_t count) {
  for (int32_t i = 0; i < count; ++i) {
    const uint32_t pixel = gray[i] * 0x01010101u;
    std::memcpy(rgbx + 4 * static_cast<ptrdiff_t>(i), &pixel, sizeof pixel);
  }
}

}  // namespace

int32_t channels_of(const Pixels& pixels) {
  for (int32_t y = 0; y < pixels.height; ++y) {
    const uint8_t* pixel = pixels.row(y);
    for (int32_t x = 0; x < pixels.width; ++x, pixel += 4) {
      if (pixel[0] != pixel[1] || pixel[0] != pixel[2]) return 3;
    }
  }
  return 1;
}

void to_compact(const Pixels& pixels, int32_t channels, uint8_t* out) {
  for (int32_t y = 0; y < pixels.height; ++y) {
    const uint8_t* pixel = pixels.row(y);
    if (channels == 1) {
      for (int32_t x = 0; x < pixels.width; ++x, pixel += 4) *out++ = *pixel;
    } else {
      for (int32_t x = 0; x < pixels.width; ++x, pixel += 4, out += 3) std::memcpy(out, pixel, 4);
    }
  }
}

void from_compact(const Compact& image, Box window, const Pixels& out, [[maybe_unused]] Simd simd) {
  SpreadRow spread = spread_row_scalar;
#if defined(__x86_64__)
  if (simd != Simd::scalar) spread = spread_row_avx2;
#endif
  if (image.channels == 1) spread = spread_gray;
  const auto channels = static_cast<ptrdiff_t>(image.channels);
  for (int32_t y = 0; y < window.height; ++y) {
    const uint8_t* from = image.data + channels * (static_cast<ptrdiff_t>(window.y + y) * image.width + window.x);
    spread(from, out.row(y), window.width);
  }
}

}  // namespace fastload::image
