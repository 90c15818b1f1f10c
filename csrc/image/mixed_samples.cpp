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
  const size_t row_bytes = static_cast<size_t>(batch.width) * batch.element_bytes;
  const size_t cut_bytes = static_cast<size_t>(box.width) * batch.element_bytes;
  each_with_the_one_before(batch, scratch, [&](uint8_t* sample, const uint8_t* before) {
    for (int32_t c = 0; c < batch.channels; ++c) {
      for (int32_t y = box.y; y < box.y + box.height; ++y) {
        const size_t row = static_cast<size_t>(c) * static_cast<size_t>(batch.height) + static_cast<size_t>(y);
        const size_t at = row * row_bytes + static_cast<size_t>(box.x) * batch.element_bytes;
        std::memcpy(sample + at, before + at, cut_bytes);
      }
    }
  });
}

}  // namespace fastload::image
