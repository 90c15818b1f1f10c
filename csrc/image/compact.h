// image/compact.h: RGBX pixels <-> three bytes a pixel, or one where all of them are gray: as pixels are kept in memory.
#pragma once

#include "image/resample.h"
#include "types.h"

namespace fastload::image {

// Rows without gaps, read only. The byte behind the last pixel may be read.
struct Compact {
  const uint8_t* data = nullptr;
  int32_t width = 0;
  int32_t height = 0;
  int32_t channels = 3;  // or 1

  size_t size() const {
    return static_cast<size_t>(width) * static_cast<size_t>(height) * static_cast<size_t>(channels);
  }
};

// How many channels an image needs: 1 where red, green and blue are equal everywhere. A colour picture shows it in its first pixels.
int32_t channels_of(const Pixels& pixels);

// `out` has room for all pixels and one byte more.
void to_compact(const Pixels& pixels, int32_t channels, uint8_t* out);

// `window`, inside the image, as RGBX; `out` is of the window's size.
void from_compact(const Compact& image, Box window, const Pixels& out, Simd simd);

}  // namespace fastload::image
