#include "image/colour.h"

#include "image/recolour_rows.h"

namespace fastload::image {

namespace {

// Pillow's MULDIV255: a * b / 255, rounded.
int multiply_255(int a, int b) {
  const int t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

uint8_t clip(int value) { return static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value); }

}  // namespace

void to_grayscale(const Pixels& pixels, Simd simd) {
  const RecolourRows& rows = recolour_rows(simd);
  for (int32_t y = 0; y < pixels.height; ++y) rows.to_gray(pixels.row(y), pixels.width);
}

void cmyk_to_rgbx(const Pixels& pixels) {
  for (int32_t y = 0; y < pixels.height; ++y) {
    uint8_t* pixel = pixels.row(y);
    for (int32_t x = 0; x < pixels.width; ++x, pixel += 4) {
      const int black = pixel[3];  // as stored: 255 is no ink
      for (int c = 0; c < 3; ++c) pixel[c] = clip(black - multiply_255(255 - pixel[c], black));
    }
  }
}

}  // namespace fastload::image
