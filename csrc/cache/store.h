// cache/store.h: key -> bytes, in shared memory of a fixed size, for all processes that have joined it at once. Without locks: a
// process may die anywhere, and costs the others no more than the entry that it was at.
//
// Note [fill once]
// Nothing is ever evicted. An epoch asks for every sample once, in an order without repetition, so whatever N samples are kept, an epoch
// has N hits, and no other choice of N has more: what an LRU would take in has just been used, and comes again no sooner than what it
// would throw out for it (it reaches N hits at best and next to none in a fixed order). Mohan et al., "Analyzing and Mitigating Data
// Stalls in DNN Training", VLDB 2021, call it MinIO.
//
// A slot of the table is claimed by a compare-and-swap of the key's half. Its place says the rest: being written, then ready, which
// publishes what was written before. Slots are never given back, so a search ends at the first free one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cache/key.h"
#include "cache/shared_memory.h"
#include "types.h"

namespace fastload::cache {

// What is kept under a key. `note` is the caller's own. The bytes lie at a multiple of 16 and have at least kPixelSlack more behind
// them that may be read; they live as long as the Store.
struct Record {
  ByteSpan bytes;
  uint64_t note = 0;
};

class Store {
 public:
  // Of `bytes` all in all, for about `samples` entries, more or less for small memory. False: errno says why.
  bool create(const char* name, size_t bytes, size_t samples);
  // One that another process has made. The descriptor is the Store's. False: errno says why, EINVAL where it is none of this version.
  bool join(int fd);

  bool find(const Key& key, Record* record) const;
  // Whether so many bytes would find room. A no is remembered: is_full().
  bool has_room(size_t bytes) const;
  // Copies it, unless the key is there, or is being written. False: no room, or no memory.
  bool insert(const Key& key, const Record& record) const;

  size_t capacity() const { return memory_.bytes(); }
  size_t used() const;     // of it, the table with it
  size_t samples() const;  // that are there
  bool is_full() const;    // something was turned away
  int fd() const { return memory_.fd(); }

 private:
  struct Head;
  struct Slot;

  static size_t table_end(const void* first_page, size_t bytes);
  Head& head() const;
  Slot& slot(const Key& key, size_t step) const;
  // The offset of so many bytes that are the caller's alone now; 0: there is no room.
  size_t take(size_t bytes) const;
  bool turn_away() const;  // false, and remembered

  SharedMemory memory_;
  size_t slots_ = 0;
};

}  // namespace fastload::cache
