// buffer.h: memory that a thread works in: grows to what is asked for, and does not stay as large as the largest picture ever.
//
// One owner, one thread. What it says that it holds it does hold, also after an allocation has failed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

namespace fastload {

class Buffer {
 public:
  // Up to here memory is kept, and half as much again is taken as was asked for: 8 million pixels.
  static constexpr size_t kKept = size_t{1} << 25;
  static constexpr size_t kAlignment = 64;  // a cache line

  Buffer() = default;
  ~Buffer() { release(); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  uint8_t* data() const { return data_; }
  size_t capacity() const { return capacity_; }

  // At least `bytes`; what was in it is lost. std::bad_alloc: it holds nothing now.
  uint8_t* reserve(size_t bytes) {
    note(bytes);
    if (bytes <= capacity_) return data_;
    release();
    return take(allocate(room_for(bytes)), room_for(bytes));
  }

  // The same, but the first `kept` bytes stay. std::bad_alloc: all is as it was.
  uint8_t* grow(size_t bytes, size_t kept) {
    note(bytes);
    if (bytes <= capacity_) return data_;
    uint8_t* const larger = allocate(room_for(bytes));
    if (kept > 0) std::memcpy(larger, data_, kept);
    release();
    return take(larger, room_for(bytes));
  }

  // Between two pictures. More than kKept is given back, unless the last two needed it: where all are so large, fresh memory for
  // each would cost more than it saves.
  void settle() {
    const bool is_large = asked_ > kKept;
    if (capacity_ > kKept && !(is_large && was_large_)) release();
    was_large_ = is_large;
    asked_ = 0;
  }

 private:
  static size_t room_for(size_t bytes) { return bytes + bytes / 2 <= kKept ? bytes + bytes / 2 : bytes; }
  static uint8_t* allocate(size_t bytes) {
    return static_cast<uint8_t*>(::operator new(bytes, std::align_val_t{kAlignment}));
  }

  void note(size_t bytes) {
    if (bytes > asked_) asked_ = bytes;
  }
  uint8_t* take(uint8_t* data, size_t capacity) {
    data_ = data;
    capacity_ = capacity;
    return data_;
  }
  void release() {
    ::operator delete(data_, std::align_val_t{kAlignment});
    data_ = nullptr;
    capacity_ = 0;
  }

  uint8_t* data_ = nullptr;
  size_t capacity_ = 0;
  size_t asked_ = 0;        // the most since settle()
  bool was_large_ = false;  // before that
};

}  // namespace fastload
