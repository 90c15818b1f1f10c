// shards/byte_window.h: a file that is looked at in a few places -> the bytes there, read a window at a time.
//
// What lies between the places is not read. One owner, one thread; spans live until the next look.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "types.h"

namespace fastload::shards {

// Fills `out` with up to `size` bytes from `offset`; how many, fewer only at the file's end, or -1 if they cannot be read.
using ReadAt = std::function<int64_t(int64_t offset, uint8_t* out, size_t size)>;

class ByteWindow {
 public:
  // `size` bytes in all; `window` of them are read at once.
  ByteWindow(ReadAt read, int64_t size, size_t window) : read_(std::move(read)), size_(size), window_(window) {}

  int64_t size() const { return size_; }
  // Why nothing was read where something should have been.
  bool failed() const { return failed_; }

  // [offset, offset + size), or as much of it as there is; nothing if it cannot be read. `size` is the caller's to bound.
  ByteSpan look(int64_t offset, size_t size) {
    if (offset < 0 || offset >= size_) return {};
    size = static_cast<size_t>(std::min<int64_t>(static_cast<int64_t>(size), size_ - offset));
    if (offset < start_ || offset + static_cast<int64_t>(size) > start_ + held_) {
      const int64_t wanted = std::min<int64_t>(static_cast<int64_t>(std::max(size, window_)), size_ - offset);
      buffer_.resize(static_cast<size_t>(wanted));
      start_ = offset;
      held_ = read_(offset, buffer_.data(), buffer_.size());
      failed_ = failed_ || held_ < 0;
      held_ = std::max<int64_t>(held_, 0);
    }
    const int64_t there = std::min<int64_t>(static_cast<int64_t>(size), start_ + held_ - offset);
    return {buffer_.data() + (offset - start_), static_cast<size_t>(std::max<int64_t>(there, 0))};
  }

 private:
  ReadAt read_;
  int64_t size_;
  size_t window_;
  std::vector<uint8_t> buffer_;
  int64_t start_ = 0;
  int64_t held_ = 0;
  bool failed_ = false;
};

}  // namespace fastload::shards
