// engine/memory.h: blocks of memory for batches, taken when a batch is first written and used again when nobody holds them.
//
// A batch that waits in the queue holds none, so a loader whose consumer is faster keeps two or three blocks in use, however far
// it looks ahead. Who allocates a block owns it; a block that was not given back is simply never taken again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace fastload::engine {

class BatchMemory {
 public:
  static constexpr int kNone = -1;

  // Memory for block `id`; null when there is none to be had. Called on engine threads.
  using Grow = std::function<uint8_t*(int id, size_t bytes)>;

  explicit BatchMemory(Grow grow) : grow_(std::move(grow)) {}

  // The block of exactly this size that was given back last, else a new one. Null data: out of memory.
  uint8_t* take(size_t bytes, int* id);
  void give(int id);

 private:
  struct Block {
    uint8_t* data;
    size_t bytes;
  };

  const Grow grow_;
  std::mutex mutex_;
  std::vector<Block> blocks_;  // by id
  std::vector<int> free_;
};

}  // namespace fastload::engine
