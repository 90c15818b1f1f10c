// image/compact_rows.h: one row of three bytes a pixel -> RGBX, in scalar and in SIMD. `scalar` is the definition of the colours; the
// fourth byte is nobody's.
#pragma once

#include <cstdint>

namespace fastload::image {

// Reads at most one byte behind the row, and writes no more than `count` pixels.
using SpreadRow = void (*)(const uint8_t* rgb, uint8_t* rgbx, int32_t count);

void spread_row_scalar(const uint8_t* rgb, uint8_t* rgbx, int32_t count);
#if defined(__x86_64__)
void spread_row_avx2(const uint8_t* rgb, uint8_t* rgbx, int32_t count);
#endif

}  // namespace fastload::image
