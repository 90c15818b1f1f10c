#include "engine/bytes.h"

#include <cstring>
#include <utility>

namespace fastload::engine {

namespace {

constexpr size_t kStep = size_t{1} << 15;  // between two capacities

}  // namespace

BytePool::Block BytePool::take(size_t size, size_t* capacity) {
  *capacity = (size + kStep - 1) / kStep * kStep;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Block>& blocks = free_[*capacity];
    if (!blocks.empty()) {
      Block block = std::move(blocks.back());
      blocks.pop_back();
      return block;
    }
  }
  return Block(new uint8_t[*capacity]);
}

void BytePool::give(Block block, size_t capacity) {
  const std::lock_guard<std::mutex> lock(mutex_);
  free_[capacity].push_back(std::move(block));
}

PooledBytes::PooledBytes(std::shared_ptr<BytePool> pool, ByteSpan bytes) : pool_(std::move(pool)), size_(bytes.size) {
  block_ = pool_->take(bytes.size, &capacity_);
  std::memcpy(block_.get(), bytes.data, bytes.size);
}

PooledBytes::~PooledBytes() {
  if (block_ != nullptr) pool_->give(std::move(block_), capacity_);
}

PooledBytes& PooledBytes::operator=(PooledBytes&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(block_, other.block_);
  std::swap(capacity_, other.capacity_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace fastload::engine
