// engine/deferred.h: a sample that is deferred: its pixels are made by somebody else (a GPU), of its bytes or its coefficients, its
// plan, and the passes that make it of the decoded image. What was deferred as bytes can be reclaimed: decoded here, by the same plan.
#pragma once

#include <cstdint>

#include "engine/bytes.h"
#include "engine/slabs.h"
#include "jpeg/coefficients.h"
#include "recipe/separable.h"

namespace fastload::engine {

// As what a batch defers its samples, where that can be.
enum class Defer : uint8_t {
  nothing,
  bytes,         // of files that a hardware decoder takes well
  coefficients,  // of windows: their codes are read here, the arithmetic is not done
};

// Why a sample was decoded here although it might have been deferred.
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
  refused,      // reclaimed
  count
};

// 200 MB of decoded pixels; the GPU holds several batches of images at once.
constexpr int64_t kMaxDeferredPixels = int64_t{1} << 26;

struct Deferred {
  PooledBytes bytes;                // Defer::bytes
  jpeg::Coefficients coefficients;  // Defer::coefficients, and where they lie
  Slabs::Place place;
  int32_t width = 0;  // of the image
  int32_t height = 0;
  int32_t sampling = 0;  // see jpeg::Header
  recipe::Plan plan;
  recipe::AxisPass passes[2];
  bool pending = false;  // somebody else makes it: it was deferred, and not reclaimed
};

}  // namespace fastload::engine
