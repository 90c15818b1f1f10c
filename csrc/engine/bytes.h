// engine/bytes.h: memory for the bytes of files that wait for another decoder, used again when they are gone.
//
// malloc gives and takes such sizes back to the kernel: with 16 threads that was half of what it costs to plan a sample.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "types.h"

namespace fastload::engine {

class BytePool {
 public:
  using Block = std::unique_ptr<uint8_t[]>;

  // At least `size` bytes: `capacity` of them.
  Block take(size_t size, size_t* capacity);
  void give(Block block, size_t capacity);

 private:
  std::mutex mutex_;
  std::map<size_t, std::vector<Block>> free_;  // by capacity
};

// A copy of some bytes. Goes back to the pool at its end.
class PooledBytes {
 public:
  PooledBytes() = default;
  PooledBytes(std::shared_ptr<BytePool> pool, ByteSpan bytes);
  ~PooledBytes();
  PooledBytes(PooledBytes&& other) noexcept { *this = std::move(other); }
  PooledBytes& operator=(PooledBytes&& other) noexcept;

  uint8_t* data() const { return block_.get(); }
  size_t size() const { return size_; }

 private:
  std::shared_ptr<BytePool> pool_;
  BytePool::Block block_;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

}  // namespace fastload::engine
