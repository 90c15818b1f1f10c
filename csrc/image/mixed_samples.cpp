#include "image/mixed_samples.h"

#include <cstring>

namespace fastload::image {

namespace {

size_t sample_bytes(const FinishedBatch& batch) {
  return static_cast<size_t>(batch.channels) * static_cast<size_t>(batch.height) * static_cast<size_t>(batch.width) *
         batch.element_bytes;
}

// Calls change(sample, the one before it as it was): from the last sample on, of which a copy is kept for the first.
template <typename ChangeFn>
void each_with_the_one_before(const FinishedBatch& batch, Buffer* scratch, ChangeFn change) {
  if (batch.samples == 0) return;
  const size_t bytes = sample_bytes(batch);
  uint8_t* const last = scratch->reserve(bytes);
  std::memcpy(last, batch.data + (batch.samples - 1) * bytes, bytes);
  for (size_t i = batch.samples - 1; i > 0; --i) change(batch.data + i * bytes, batch.data + (i - 1) * bytes);
  change(batch.data, last);
}

}  // namespace

void mix_up(const FinishedBatch& batch, float own, float other, Buffer* scratch) {
  const size_t count = sample_bytes(batch) / sizeof(float);
  each_with_the_one_before(batch, scratch, [&](uint8_t* sample, const uint8_t* before) {
    auto* const values = reinterpret_cast<float*>(sample);
    const auto* const others = reinterpret_cast<const float*>(before);
    for (size_t i = 0; i < count; ++i) values[i] = others[i] * other + values[i] * own;  // never contracted: see CMakeLists.txt
  });
}

void cut_mix(const FinishedBatch& batch, const Box& box, Buffer* scratch) {
  const bool is_planar = batch.layout == Layout::chw;
  const int32_t planes = is_planar ? batch.channels : 1;
  const size_t pixel_bytes = batch.element_bytes * static_cast<size_t>(is_planar ? 1 : batch.channels);
  const size_t row_bytes = static_cast<size_t>(batch.width) * pixel_bytes;
  const size_t cut_bytes = static_cast<size_t>(box.width) * pixel_bytes;
  each_with_the_one_before(batch, scratch, [&](uint8_t* sample, const uint8_t* before) {
    for (int32_t plane = 0; plane < planes; ++plane) {
      for (int32_t y = box.y; y < box.y + box.height; ++y) {
        const size_t row = static_cast<size_t>(plane) * static_cast<size_t>(batch.height) + static_cast<size_t>(y);
        const size_t at = row * row_bytes + static_cast<size_t>(box.x) * pixel_bytes;
        std::memcpy(sample + at, before + at, cut_bytes);
      }
    }
  });
}

}  // namespace fastload::image
