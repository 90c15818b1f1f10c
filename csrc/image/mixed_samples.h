// image/mixed_samples.h: finished samples of a batch, each mixed with the one before it and the first with the last, as torchvision's
// MixUp and CutMix do it on a tensor of [samples, channels, height, width] in either order in memory. In place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.h"
#include "image/pack.h"
#include "types.h"

namespace fastload::image {

// Packed.
struct FinishedBatch {
  uint8_t* data = nullptr;
  size_t samples = 0;
  int32_t channels = 3;
  int32_t height = 0;
  int32_t width = 0;
  size_t element_bytes = 1;
  Layout layout = Layout::chw;
};

// Of float32: each value times `own` and the other's times `other`; both products and their sum are rounded.
void mix_up(const FinishedBatch& batch, float own, float other, Buffer* scratch);

// `box`, inside the image, gets the other's values.
void cut_mix(const FinishedBatch& batch, const Box& box, Buffer* scratch);

}  // namespace fastload::image
