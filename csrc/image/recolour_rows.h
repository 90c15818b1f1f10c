// image/recolour_rows.h: changes of colour of one row of RGBX pixels, in scalar and in SIMD. `scalar` is the definition of the colours;
// the fourth byte is nobody's.
#pragma once

#include <cstdint>

#include "image/resample.h"

namespace fastload::image {

// No more than `count` pixels are written; kPixelSlack bytes behind the row may be read.
struct RecolourRows {
  // All channels: the pixel's gray.
  void (*to_gray)(uint8_t* rgbx, int32_t count);
  // Each channel: from `from` on towards itself, by Pillow's blend.
  void (*blend)(uint8_t* rgbx, int32_t count, uint8_t from, float factor);
  // … from the pixel's gray.
  void (*saturate)(uint8_t* rgbx, int32_t count, float factor);
  void (*shift_hue)(uint8_t* rgbx, int32_t count, int32_t shift);
  // The sum of all pixels' grays.
  uint64_t (*sum_of_gray)(const uint8_t* rgbx, int32_t count);
  // … from the mean of nine on, of which the pixel itself counts five times. All bytes around the row's are there.
  void (*sharpen)(const uint8_t* above, const uint8_t* row, const uint8_t* below, uint8_t* out, int32_t count, float factor);
};

// Of Pillow's convert("L").
inline uint8_t gray_of(const uint8_t* rgb) {
  return static_cast<uint8_t>((19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 0x8000) >> 16);
}

// Image.blend: in float32, cut to an integer.
inline uint8_t blended(int from, int to, float factor) {
  const float value = static_cast<float>(from) + factor * static_cast<float>(to - from);
  return value <= 0 ? uint8_t{0} : value >= 255 ? uint8_t{255} : static_cast<uint8_t>(value);
}

// Where each H of HSV lies: in which sixth of the circle, and how far within it.
struct HueTable {
  int32_t sixth[256];
  float within[256];
};
extern const HueTable kHues;

extern const RecolourRows kRecolourScalar;
#if defined(__x86_64__)
extern const RecolourRows kRecolourAvx2;
#endif

inline const RecolourRows& recolour_rows([[maybe_unused]] Simd simd) {
#if defined(__x86_64__)
  if (simd != Simd::scalar) return kRecolourAvx2;
#endif
  return kRecolourScalar;
}

}  // namespace fastload::image
