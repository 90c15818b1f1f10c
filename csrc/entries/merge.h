// entries/merge.h: records of several files -> those of one: of each key the newest, and the table by which they are found.
//
// Files are added from the oldest to the newest, then the slots are there to be written, then the records piece by piece. What is
// damaged is left out. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "buffer.h"
#include "cache/key.h"
#include "entries/record_file.h"
#include "io/open_file.h"
#include "types.h"

namespace fastload::entries {

class Merge {
 public:
  // Records in bytes [at, at + size) of a file, or as many as there are; size negative: up to its end. False: it cannot be read.
  bool add(const char* path, int64_t at, int64_t size);
  // No more are added.
  void finish();

  size_t records() const { return found_.size(); }
  uint64_t bytes() const { return bytes_; }
  const std::vector<Slot>& slots() const { return slots_; }
  // The next of the records, some at a time; empty at the end. They live until the next call. False: they could not be read.
  bool next(ByteSpan* piece);

 private:
  struct Found {
    cache::Key key;
    uint32_t file;
    uint32_t size;
    uint64_t offset;
  };

  std::vector<std::unique_ptr<io::OpenFile>> files_;
  std::vector<Found> found_;
  std::vector<Slot> slots_;
  uint64_t bytes_ = 0;
  size_t next_ = 0;
  Buffer piece_;
};

}  // namespace fastload::entries
