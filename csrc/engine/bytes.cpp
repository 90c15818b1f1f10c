#include "engine/bytes.h"

#include <unistd.h>

#include <cstring>
#include <new>
#include <utility>

namespace fastload::engine {

namespace {

constexpr size_t kStep = size_t{1} << 15;  // between two capacities

}  // namespace

BytePool::Block BytePool::take(size_t size, size_t* capacity) {
  const size_t wanted = (size + kStep - 1) / kStep * kStep;
  std::vector<Block> gone;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = free_.lower_bound(wanted);
    if (found != free_.end() && found->first <= wanted + wanted / 4) {
      *capacity = found->first;
      Block block = std::move(found->second);
      free_.erase(found);
      free_bytes_ -= *capacity;
      use_.take(*capacity);
      return block;
    }
  }
  *capacity = wanted;
  Block block(new uint8_t[wanted]);
  const std::lock_guard<std::mutex> lock(mutex_);
  use_.take(wanted);
  gone = make_room();
  return block;
}

void BytePool::give_back(Block block, size_t capacity) {
  std::vector<Block> gone;
  const std::lock_guard<std::mutex> lock(mutex_);
  use_.give_back(capacity);
  try {
    free_.emplace(capacity, std::move(block));
    free_bytes_ += capacity;
    gone = make_room();
  } catch (const std::bad_alloc&) {  // for a node of the list: what was not put into it goes
  }
}

std::vector<BytePool::Block> BytePool::make_room() {
  std::vector<Block> gone;
  while (!free_.empty() && use_.in_use() + free_bytes_ > use_.allowed()) {
    const auto largest = std::prev(free_.end());
    gone.push_back(std::move(largest->second));
    free_bytes_ -= largest->first;
    free_.erase(largest);
  }
  return gone;
}

size_t BytePool::bytes() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return use_.in_use() + free_bytes_;
}

PooledBytes::PooledBytes(std::shared_ptr<BytePool> pool, size_t size)
    : pool_(std::move(pool)), size_(size), owner_(getpid()) {
  block_ = pool_->take(size, &capacity_);
}

PooledBytes::PooledBytes(std::shared_ptr<BytePool> pool, ByteSpan bytes) : PooledBytes(std::move(pool), bytes.size) {
  std::memcpy(block_.get(), bytes.data, bytes.size);
}

PooledBytes::~PooledBytes() {
  if (block_ != nullptr && getpid() == owner_) pool_->give_back(std::move(block_), capacity_);
}

PooledBytes& PooledBytes::operator=(PooledBytes&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(block_, other.block_);
  std::swap(capacity_, other.capacity_);
  std::swap(size_, other.size_);
  std::swap(owner_, other.owner_);
  return *this;
}

}  // namespace fastload::engine
