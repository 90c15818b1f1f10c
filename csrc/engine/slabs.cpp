#include "engine/slabs.h"

#include <utility>

namespace fastload::engine {

Slabs::Slabs(std::shared_ptr<BatchMemory> memory) : memory_(std::move(memory)) {}

Slabs::~Slabs() {
  for (const Slab& slab : slabs_) memory_->give_back(slab.block);
}

Slabs::Place Slabs::reserve(size_t bytes) {
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (rounded > kSlabBytes || memory_ == nullptr) return {};
  const std::lock_guard<std::mutex> lock(mutex_);
  if (slabs_.empty() || slabs_.back().used + rounded > kSlabBytes) {
    int block = BatchMemory::kNone;
    uint8_t* const data = memory_->take(kSlabBytes, &block);
    if (data == nullptr) return {};
    slabs_.push_back({block, data, 0});
  }
  Slab& last = slabs_.back();
  const Place place = {static_cast<int>(slabs_.size()) - 1, last.used, last.data + last.used};
  last.used += rounded;
  return place;
}

std::vector<Slabs::Slab> Slabs::release() { return std::exchange(slabs_, {}); }

}  // namespace fastload::engine
