// image/pack_rows.h: one row of RGBX pixels into one row of each float plane, in the arithmetic form of a ValueMap.
#pragma once

#include "image/pack.h"

namespace fastload::image {

// `out` is the row of the first plane, the next channel's lies `plane` floats further.
using RowPacker = void (*)(const uint8_t* row, int32_t width, const ValueMap& map, bool hflip, float* out,
                           ptrdiff_t plane);

#if defined(__x86_64__)
void pack_row_avx2(const uint8_t* row, int32_t width, const ValueMap& map, bool hflip, float* out, ptrdiff_t plane);
void pack_row_avx512(const uint8_t* row, int32_t width, const ValueMap& map, bool hflip, float* out, ptrdiff_t plane);
#endif

}  // namespace fastload::image
