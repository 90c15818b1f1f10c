// engine/slabs.h: a batch's memory for things whose sizes are not known before: a few large blocks, filled one behind the other.
//
// Threads reserve at the same time; what they write does not overlap. The blocks are a BatchMemory's and go back to it at the end,
// unless they were released.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/memory.h"

namespace fastload::engine {

class Slabs {
 public:
  // All of one size, so that any batch can use any other's: coefficients of 2.8 million pixels in 4:4:4.
  static constexpr size_t kSlabBytes = size_t{1} << 24;
  static constexpr size_t kAlignment = 128;

  struct Place {
    int slab = 0;
    size_t offset = 0;
    uint8_t* data = nullptr;  // null: too much, or no memory to be had
  };
  struct Slab {
    int block;  // of the BatchMemory
    uint8_t* data;
    size_t used;
  };

  explicit Slabs(std::shared_ptr<BatchMemory> memory);
  ~Slabs();
  Slabs(const Slabs&) = delete;
  Slabs& operator=(const Slabs&) = delete;

  // Without memory there is no place.
  Place reserve(size_t bytes);

  // By number; their blocks are the caller's. When nobody reserves any more.
  std::vector<Slab> release();

 private:
  const std::shared_ptr<BatchMemory> memory_;
  std::mutex mutex_;
  std::vector<Slab> slabs_;
};

}  // namespace fastload::engine
