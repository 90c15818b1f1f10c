// image/pack.h: RGBX pixels in, one sample of the batch tensor out: flip, value transform, dtype and layout in one pass.
#pragma once

#include "image/resample.h"
#include "types.h"

namespace fastload::image {

enum class Element : uint8_t { uint8, float32, float16, bfloat16, float64 };

enum class Layout : uint8_t { chw, hwc };

// What a byte of each channel becomes. `table` holds, for each channel, the 256 values in the element's own bits, as torch
// computed them, so the result is torch's by construction.
//
// Note [division by multiplication]
// float32 values may instead be computed: (v / 255 - mean) / std, each division as q = x * r, then q + (x - q * d) * r with fused
// multiply-adds, where r is the rounded 1 / d (Markstein 1990). That is the correctly rounded quotient for almost all operands;
// find_arithmetic() compares all 256 values of every channel with the table and allows it only if every bit agrees.
// transforms.v2 multiplies by 1 / 255 instead of dividing; then the correction of the first division is left out.
struct ValueMap {
  Element element = Element::float32;
  int32_t channels = 3;         // 3, or 1 (the red byte: all three are equal after Grayscale(1))
  const void* table = nullptr;  // channels x 256 elements
  bool as_is = false;           // uint8, every byte itself
  bool use_arithmetic = false;
  bool divide_by_255 = false;
  bool normalise = false;
  float unit_scale = 0;  // the rounded 1 / 255
  float mean[3] = {0, 0, 0};
  float std[3] = {1, 1, 1};
  float inverse_std[3] = {1, 1, 1};
};

// Decides as_is, with the table in place.
void find_identity(ValueMap* map);

// Decides use_arithmetic for a float32 map with its table in place; mean and std are read only if `normalise`.
void find_arithmetic(ValueMap* map, const float* mean, const float* std, bool normalise);

// Writes source.width x source.height pixels to `out`, contiguous in `layout`. hflip and vflip mirror on the way.
// `out` is one sample: channels * height * width elements.
void pack(const Pixels& source, const ValueMap& map, Layout layout, bool hflip, bool vflip, void* out, Simd simd);

// All four bytes of each pixel, row after row, the last of them `fourth`.
void with_fourth(const Pixels& source, uint8_t fourth, uint8_t* out);

}  // namespace fastload::image
