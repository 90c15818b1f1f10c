// jpeg/coefficients.h: what the pixels of a window are made of: the quantized DCT coefficients of all blocks that they depend on,
// and the tables. Plain numbers, so that whoever makes the pixels (a GPU) needs no libjpeg.
#pragma once

#include <cstddef>
#include <cstdint>

#include "types.h"

namespace fastload::jpeg {

constexpr int kBlockSize = 64;  // coefficients, in rows of eight
constexpr int kMaxPlanes = 3;

// The blocks of one component. In memory: its table of kBlockSize quantizers, then `rows` x `columns` blocks, all int16.
struct Plane {
  int32_t x = 0;  // of its first sample, in the component
  int32_t y = 0;
  int32_t columns = 0;
  int32_t rows = 0;
  int32_t width = 0;  // of the component in samples; what lies beyond is padding
  int32_t height = 0;

  size_t size() const { return kBlockSize * (1 + static_cast<size_t>(columns) * static_cast<size_t>(rows)); }
};

// One plane behind the other.
struct Coefficients {
  Plane planes[kMaxPlanes];
  int32_t count = 0;  // 1: gray, 3: luminance and chroma

  size_t size() const {
    size_t sum = 0;
    for (int i = 0; i < count; ++i) sum += planes[i].size();
    return sum;
  }
};

}  // namespace fastload::jpeg
