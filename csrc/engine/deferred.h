// engine/deferred.h: a sample that is deferred: its pixels are made by somebody else (a GPU), of its bytes, or of its window's codes or
// coefficients. What was deferred can be reclaimed: decoded here, by the same plan.
#pragma once

#include <cstdint>

#include "engine/bytes.h"
#include "jpeg/coefficients.h"
#include "jpeg/decode.h"
#include "recipe/separable.h"

namespace fastload::engine {

// As what a batch defers its samples, where that can be.
enum class Defer : uint8_t {
  nothing,
  bytes,    // of files that a hardware decoder takes well
  windows,  // their codes, of files with entry points; else their codes are read here, and the arithmetic is not done
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
  scan,         // its codes are not ours to read (restarts, without entry points), or its chroma is neither 4:4:4, 4:2:2 nor 4:2:0
  refused,      // reclaimed: whoever was to make it could not
  count
};

// 200 MB of decoded pixels; the GPU holds several batches of images at once.
constexpr int64_t kMaxDeferredPixels = int64_t{1} << 26;

struct Deferred {
  PooledBytes bytes;                // Defer::bytes
  bool has_codes = false;           // Defer::windows: codes, else coefficients
  jpeg::Coefficients coefficients;  // … which of these,
  jpeg::Piece piece;                // … what part of the file,
  uint8_t* numbers = nullptr;       // … and where they belong
  int32_t width = 0;  // of the image
  int32_t height = 0;
  int32_t sampling = 0;  // see jpeg::Header
  recipe::Plan plan;
  recipe::AxisPass passes[2];  // Defer::bytes
  bool pending = false;        // somebody else makes it: it was deferred, and not reclaimed
};

}  // namespace fastload::engine
