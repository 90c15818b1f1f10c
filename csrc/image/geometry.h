// image/geometry.h: moving pixels without changing them: mirror in place, pad into a new buffer.
#pragma once

#include "types.h"

namespace fastload::image {

enum class PadMode : uint8_t { constant, edge, reflect, symmetric };

void flip_horizontal(const Pixels& pixels);
void flip_vertical(const Pixels& pixels);

// Rows become columns; `out` is as wide as the source is high.
void transpose(const Pixels& source, const Pixels& out);

// `source` is the image without its border; `out` is the padded image, with source's pixel (0, 0) at (left, top).
// `fill` is the RGB of the border under PadMode::constant. Modes as numpy.pad (edge, reflect, symmetric).
void pad(const Pixels& source, int32_t left, int32_t top, PadMode mode, const uint8_t fill[3], const Pixels& out);

}  // namespace fastload::image
