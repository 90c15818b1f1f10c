// engine/pixel_buffer.h: a Buffer as an image.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.h"
#include "types.h"

namespace fastload::engine {

class PixelBuffer : public Buffer {
 public:
  // Packed rows of a width x height image, slack included.
  Pixels image(int32_t width, int32_t height) {
    const ptrdiff_t stride = 4 * static_cast<ptrdiff_t>(width);
    return {reserve(static_cast<size_t>(stride) * static_cast<size_t>(height) + kPixelSlack), width, height, stride};
  }
};

}  // namespace fastload::engine
