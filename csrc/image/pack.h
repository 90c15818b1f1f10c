// image/pack.h: RGBX pixels in, one sample of the batch tensor out: flip, value transform, dtype and layout in one pass.
#pragma once

#include "image/resample.h"
#include "types.h"

namespace fastload::image {

enum class Element : uint8_t { uint8, float32, float16, bfloat16, float64 };

enum class Layout : uint8_t { chw, hwc };

// What a byte of each channel becomes. `table` holds, for each channel, the 256 values in the element's own bits (as torch
// computed them, so the result is torch's by construction).
//
// Arithmetic form, float32 only: value = (v * unit_scale or v / 255 - mean) / std in float32 with one rounding an operation.
// It is used only where `use_arithmetic` is set, which find_arithmetic() does after comparing all 256 values of every channel
// with the table.
struct ValueMap {
  Element element = Element::float32;
  int32_t channels = 3;            // 3, or 1 (the red byte: all three are equal after Grayscale(1))
  const void* table = nullptr;     // channels x 256 elements
  bool use_arithmetic = false;
  float unit_scale = 0;            // 0: true division by 255
  bool normalise = false;
  float mean[3] = {0, 0, 0};
  float std[3] = {1, 1, 1};
};

// Sets use_arithmetic, unit_scale, normalise and so on where the arithmetic form, as the SIMD kernels evaluate it, gives every
// entry of the table; leaves the table to serve otherwise.
void find_arithmetic(ValueMap* map, const float* mean, const float* std, bool normalise);

// Writes source.width x source.height pixels to `out`, contiguous in `layout`. hflip and vflip mirror on the way.
// `out` is one sample: channels * height * width elements.
void pack(const Pixels& source, const ValueMap& map, Layout layout, bool hflip, bool vflip, void* out, Simd simd);

}  // namespace fastload::image
