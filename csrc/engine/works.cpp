#include "engine/works.h"

#include <algorithm>
#include <cstring>

#include "device/resample.h"

namespace fastload::engine {

bool Works::reserve(Slabs* slabs, size_t block_bytes, size_t scratch_bytes, Room* room) {
  const size_t rounded = (scratch_bytes + Slabs::kAlignment - 1) / Slabs::kAlignment * Slabs::kAlignment;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (place_.data == nullptr) {
      const size_t bytes = images_ * sizeof(device::ImageWork);
      place_ = slabs->reserve(bytes);
      if (place_.data == nullptr) return false;
      std::memset(place_.data, 0, bytes);
    }
    if (rounded > kMostScratch || scratch_ > kMostScratch - rounded) return false;
    room->scratch_at = scratch_;
    scratch_ += rounded;
  }
  const Slabs::Place place = slabs->reserve(block_bytes);
  if (place.data == nullptr) return false;
  room->block = place.data;
  room->block_at = place_in_block(place);
  return true;
}

Works::Sizes Works::sizes() {
  Sizes sizes;
  sizes.works_at = place_in_block(place_);
  sizes.scratch_bytes = scratch_;
  for (size_t slot = 0; place_.data != nullptr && slot < images_; ++slot) {
    const device::ImageWork& work = of(slot);
    if (work.way == device::kElsewhere) continue;
    const device::CodesWork& codes = work.codes;
    if (work.way == device::kCodes) {
      sizes.intervals = std::max<int64_t>(sizes.intervals, int64_t{device::intervals_of_row(codes)} * (codes.bottom - codes.top));
    } else {
      sizes.blocks = std::max<int64_t>(sizes.blocks, int64_t{work.plane[0].columns} * work.plane[0].rows);
    }
    sizes.columns = std::max<int64_t>(sizes.columns, work.width);
    sizes.between_rows = std::max<int64_t>(sizes.between_rows, device::rows_of(work.pass[0]));
  }
  return sizes;
}

}  // namespace fastload::engine
