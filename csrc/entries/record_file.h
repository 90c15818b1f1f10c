// entries/record_file.h: a file of records of entry points -> the record of a key. docs/entries-file.md has the layout.
//
// It is read, not mapped: processes share the pages all the same, and a file that somebody cuts is an error here and not a signal.
// Any thread. What is found is a copy, whose checksum parse() looks at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "buffer.h"
#include "cache/key.h"
#include "io/open_file.h"
#include "jpeg/entries.h"
#include "types.h"

namespace fastload::entries {

// Of a table with linear probing: an entry is two words, half of a key and a place; zeros are free.
struct Slot {
  uint64_t key;
  uint64_t place;
};
constexpr uint64_t kPlaceUnit = 8;      // of offsets and sizes
constexpr int kSizeBits = 24;
constexpr size_t kMostSteps = 256;

inline uint64_t place_of(uint64_t offset, uint64_t size) { return offset / kPlaceUnit << kSizeBits | size / kPlaceUnit; }
inline uint64_t offset_of(uint64_t place) { return (place >> kSizeBits) * kPlaceUnit; }
inline size_t size_of(uint64_t place) { return (place & ((uint64_t{1} << kSizeBits) - 1)) * kPlaceUnit; }
// Where the search of a key begins, among so many slots.
inline uint64_t first_slot(const cache::Key& key, uint64_t slots) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(key.high) * slots >> 64);
}

// Bytes that say that they are a record, under that key.
bool is_record_of(ByteSpan bytes, const cache::Key& key);

class RecordFile {
 public:
  // Parts of the file, in bytes but for the number of slots.
  struct Parts {
    int64_t slots_at = 0;
    uint64_t slots = 0;
    int64_t records_at = 0;
    uint64_t records_bytes = 0;
  };

  // False: it cannot be opened.
  bool open(const char* path, const Parts& parts);
  bool find(const cache::Key& key, Buffer* to, ByteSpan* record) const;
  // The layouts of some records, so many at most, from all over the file.
  std::vector<jpeg::ScanLayout> some(size_t count) const;

 private:
  // False: it does not lie within the file.
  bool read(const Slot& slot, Buffer* to, ByteSpan* record) const;

  io::OpenFile file_;
  Parts parts_;
};

}  // namespace fastload::entries
