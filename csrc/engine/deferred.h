// engine/deferred.h: a sample that is left to another decoder (a GPU): its bytes, its plan, and the passes that make it of the
// decoded image. It can be taken back and decoded here, with the same plan.
#pragma once

#include <cstdint>

#include "engine/bytes.h"
#include "recipe/separable.h"

namespace fastload::engine {

// Why a sample was decoded here although there is another decoder.
enum class Keep : uint8_t {
  none,         // it was not
  not_plain,    // not a plain JPEG, or damaged
  progressive,  // or in several scans
  colour,       // CMYK, or not coded as luminance and chroma
  sampling,     // chroma neither 4:4:4 nor 4:2:0
  cut,          // the file ends before its image does
  large,        // more pixels than kMaxDeferredPixels
  transforms,   // more than crops and one resize
  refused,      // taken back
  count
};

// 200 MB of decoded pixels; the GPU holds several batches of images at once.
constexpr int64_t kMaxDeferredPixels = int64_t{1} << 26;

struct Deferred {
  PooledBytes bytes;
  int32_t width = 0;  // of the image
  int32_t height = 0;
  int32_t sampling = 0;  // see jpeg::Header
  recipe::Plan plan;
  recipe::AxisPass passes[2];
  bool pending = false;  // it was left, and not taken back
};

}  // namespace fastload::engine
