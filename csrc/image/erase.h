// image/erase.h: rectangles of a finished sample are given other values. In any element type and layout: the bytes are copied.
#pragma once

#include <cstddef>

#include "image/pack.h"
#include "types.h"

namespace fastload::image {

// One sample of a batch, contiguous in `layout`.
struct Finished {
  uint8_t* data = nullptr;
  int32_t width = 0;
  int32_t height = 0;
  int32_t channels = 0;
  size_t element_bytes = 0;
  Layout layout = Layout::chw;
};

// Fills `box`, of which parts may lie outside the sample, with one element a channel.
void fill(const Finished& sample, const Box& box, const uint8_t* elements);

// The same with channels x box.height x box.width elements, mirrored on the way.
void paste(const Finished& sample, const Box& box, const uint8_t* elements, bool hflip, bool vflip);

}  // namespace fastload::image
