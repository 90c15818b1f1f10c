#include "engine/slabs.h"

namespace fastload::engine {

Slabs::Place Slabs::reserve(BatchMemory* memory, size_t bytes) {
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (rounded > kSlabBytes) return {};
  const std::lock_guard<std::mutex> lock(mutex_);
  if (slabs_.empty() || slabs_.back().used + rounded > kSlabBytes) {
    int block = BatchMemory::kNone;
    uint8_t* const data = memory->take(kSlabBytes, &block);
    if (data == nullptr) return {};
    slabs_.push_back({block, data, 0});
  }
  Slab& last = slabs_.back();
  const Place place = {static_cast<int>(slabs_.size()) - 1, last.used, last.data + last.used};
  last.used += rounded;
  return place;
}

}  // namespace fastload::engine
