// engine/works.h: what a GPU is to do with a batch's images, and how much scratch memory it takes for that.
//
// The works lie in the batch's slabs, one an image, so that they are copied with what they speak of. Threads reserve at the same time;
// each writes its own sample's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "device/image_work.h"
#include "engine/slabs.h"

namespace fastload::engine {

class Works {
 public:
  // Of one batch. What would take more is decoded here.
  static constexpr size_t kMostScratch = size_t{1} << 31;

  explicit Works(size_t images) : images_(images) {}

  // Room for what an image has in the block and in scratch memory. False: too much, or no memory to be had.
  struct Room {
    uint64_t block_at = 0;  // counted over all slabs
    uint8_t* block = nullptr;
    uint64_t scratch_at = 0;
  };
  bool reserve(Slabs* slabs, size_t block_bytes, size_t scratch_bytes, Room* room);

  // Once something was reserved.
  device::ImageWork& of(size_t slot) { return reinterpret_cast<device::ImageWork*>(place_.data)[slot]; }

  // What the kernels are launched for: the largest of all images. When nobody reserves any more.
  struct Sizes {
    uint64_t works_at = 0;  // in the block
    uint64_t scratch_bytes = 0;
    int64_t intervals = 0;
    int64_t blocks = 0;  // of coefficients
    int64_t columns = 0;       // of a window
    int64_t between_rows = 0;  // between the passes
  };
  Sizes sizes();

 private:
  static uint64_t place_in_block(const Slabs::Place& place) {
    return static_cast<uint64_t>(place.slab) * Slabs::kSlabBytes + place.offset;
  }

  const size_t images_;
  std::mutex mutex_;
  Slabs::Place place_;
  uint64_t scratch_ = 0;
};

}  // namespace fastload::engine
