// engine/memory.h: blocks of memory for batches, taken when a batch is first written and used again when nobody holds them.
//
// Sizes come and go (the last batch of an epoch, pictures that grow as training goes on): when a block of a new size is needed, free
// ones of other sizes go, the longest unused first, so that all blocks are no more than HighWater allows.
//
// A batch that waits in the queue holds none, so a loader whose consumer is faster keeps two or three blocks in use, however far
// it looks ahead. Who allocates a block owns it; a block that was not given back is simply never taken again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "engine/high_water.h"

namespace fastload::engine {

class BatchMemory {
 public:
  static constexpr int kNone = -1;

  // Memory for block `id`, and an end to the blocks `gone`, before; null when there is none to be had. Called on engine threads.
  using Grow = std::function<uint8_t*(int id, size_t bytes, const std::vector<int>& gone)>;

  explicit BatchMemory(Grow grow) : grow_(std::move(grow)) {}

  // The block of exactly this size that was given back last, else a new one. Null data: out of memory.
  uint8_t* take(size_t bytes, int* id);
  void give_back(int id);
  // In the place of give_back(), of a block that is the caller's for good.
  void forget(int id);

 private:
  // With the lock: takes free blocks out until all together are allowed.
  std::vector<int> make_room();

  struct Block {
    uint8_t* data;
    size_t bytes;
  };

  static constexpr size_t kTakesAWindow = 32;

  const Grow grow_;
  std::mutex mutex_;
  std::unordered_map<int, Block> blocks_;  // by id
  int next_id_ = 0;
  std::vector<int> free_;  // in the order in which they were given back
  size_t free_bytes_ = 0;
  HighWater use_{kTakesAWindow};
};

}  // namespace fastload::engine
