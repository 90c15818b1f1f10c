// engine/bytes.h: memory for the bytes of files that wait for another decoder, used again when they are gone.
//
// malloc gives and takes such sizes back to the kernel: with 16 threads that was half of what it costs to plan a sample. What is free
// goes, the largest first, where all together is more than HighWater allows.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/high_water.h"
#include "types.h"

namespace fastload::engine {

class BytePool {
 public:
  using Block = std::unique_ptr<uint8_t[]>;

  // At least `size` bytes: `capacity` of them, at most a quarter more than that takes.
  Block take(size_t size, size_t* capacity);
  void give_back(Block block, size_t capacity);
  // In use and free.
  size_t bytes();

 private:
  static constexpr size_t kTakesAWindow = 4096;

  // With the lock: what has to go, for the caller to let go of without it.
  std::vector<Block> make_room();

  std::mutex mutex_;
  std::multimap<size_t, Block> free_;  // by capacity
  size_t free_bytes_ = 0;
  HighWater use_{kTakesAWindow};
};

// Memory that goes back to its pool at its end; in a process that was forked meanwhile, where nobody may have the pool's lock any more,
// to the system.
class PooledBytes {
 public:
  PooledBytes() = default;
  PooledBytes(std::shared_ptr<BytePool> pool, size_t size);
  // A copy of some bytes.
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
  pid_t owner_ = 0;
};

}  // namespace fastload::engine
