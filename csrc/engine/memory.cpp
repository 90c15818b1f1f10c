#include "engine/memory.h"

namespace fastload::engine {

uint8_t* BatchMemory::take(size_t bytes, int* id) {
  std::vector<int> gone;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    use_.take(bytes);
    for (auto entry = free_.rbegin(); entry != free_.rend(); ++entry) {
      const Block& block = blocks_[*entry];
      if (block.bytes != bytes) continue;
      free_bytes_ -= bytes;
      *id = *entry;
      free_.erase(std::next(entry).base());
      return block.data;
    }
    *id = next_id_++;
    blocks_[*id] = {nullptr, bytes};
    free_.reserve(blocks_.size());  // give_back() must not fail
    gone = make_room();
  }
  uint8_t* const data = grow_(*id, bytes, gone);  // unlocked: it may wait for a lock whose holder gives a block back
  const std::lock_guard<std::mutex> lock(mutex_);
  if (data != nullptr) {
    blocks_[*id].data = data;
    return data;
  }
  use_.give_back(bytes);
  blocks_.erase(*id);
  *id = kNone;
  return nullptr;
}

std::vector<int> BatchMemory::make_room() {
  std::vector<int> gone;
  auto keep = free_.begin();
  for (; keep != free_.end() && use_.in_use() + free_bytes_ > use_.allowed(); ++keep) {
    free_bytes_ -= blocks_[*keep].bytes;
    blocks_.erase(*keep);
    gone.push_back(*keep);
  }
  free_.erase(free_.begin(), keep);
  return gone;
}

void BatchMemory::give_back(int id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto block = blocks_.find(id);
  if (block == blocks_.end()) return;
  use_.give_back(block->second.bytes);
  free_bytes_ += block->second.bytes;
  free_.push_back(id);
}

void BatchMemory::forget(int id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto block = blocks_.find(id);
  if (block == blocks_.end()) return;
  use_.give_back(block->second.bytes);
  blocks_.erase(block);
}

}  // namespace fastload::engine
