#include "engine/memory.h"

namespace fastload::engine {

uint8_t* BatchMemory::take(size_t bytes, int* id) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto entry = free_.rbegin(); entry != free_.rend(); ++entry) {
      const Block& block = blocks_[static_cast<size_t>(*entry)];
      if (block.bytes != bytes) continue;
      *id = *entry;
      free_.erase(std::next(entry).base());
      return block.data;
    }
    *id = static_cast<int>(blocks_.size());
    blocks_.push_back({nullptr, bytes});
  }
  uint8_t* data = grow_(*id, bytes);  // unlocked: it may wait for a lock whose holder gives a block back
  const std::lock_guard<std::mutex> lock(mutex_);
  blocks_[static_cast<size_t>(*id)].data = data;
  if (data == nullptr) *id = kNone;
  return data;
}

void BatchMemory::give(int id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  free_.push_back(id);
}

}  // namespace fastload::engine
