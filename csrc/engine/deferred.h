// engine/deferred.h: a sample whose pixels somebody else makes (a GPU): its bytes or its coefficients, its plan, and the passes that
// make it of the decoded image. What was left as bytes can be taken back and decoded here, with the same plan.
#pragma once

#include <cstdint>

#include "engine/bytes.h"
#include "engine/slabs.h"
#include "jpeg/coefficients.h"
#include "recipe/separable.h"

namespace fastload::engine {

// What a batch leaves to somebody else.
enum class Leave : uint8_t {
  nothing,
  bytes,         // of files that a hardware decoder takes well
  coefficients,  // of windows: their codes are read here, the arithmetic is left
};

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
  scan,         // its codes are not ours to read (restarts), or its chroma is neither 4:4:4, 4:2:2 nor 4:2:0
  refused,      // taken back
  count
};

// 200 MB of decoded pixels; the GPU holds several batches of images at once.
constexpr int64_t kMaxDeferredPixels = int64_t{1} << 26;

struct Deferred {
  PooledBytes bytes;                // where those are left
  jpeg::Coefficients coefficients;  // where these are, and where they lie
  Slabs::Place place;
  int32_t width = 0;  // of the image
  int32_t height = 0;
  int32_t sampling = 0;  // see jpeg::Header
  recipe::Plan plan;
  recipe::AxisPass passes[2];
  bool pending = false;  // its bytes were left, and not taken back; or its coefficients
};

}  // namespace fastload::engine
