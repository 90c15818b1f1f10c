// image/colour.h: point-wise colour changes on RGBX pixels, in place, as Pillow computes them.
#pragma once

#include "image/resample.h"
#include "types.h"

namespace fastload::image {

// All three colour bytes become Pillow's convert("L"): (19595 R + 38470 G + 7471 B + 0x8000) >> 16.
void to_grayscale(const Pixels& pixels, Simd simd);

// The four bytes are libjpeg's CMYK as stored (Adobe convention, inverted); they become RGBX as Pillow's
// Image.open(...).convert("RGB") computes it.
void cmyk_to_rgbx(const Pixels& pixels);

}  // namespace fastload::image
