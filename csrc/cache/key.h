// cache/key.h: where a sample's bytes are -> a key that these bytes alone have, now.
//
// A file is known by its path, device, size and times of change, so that another one under the same name has another key. Any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "io/source.h"

namespace fastload::cache {

// 128 bits of a hash: among 10^9 keys two are equal with a chance of 10^-21.
struct Key {
  uint64_t low = 0;  // both 0: there is none
  uint64_t high = 0;

  bool is_one() const { return (low | high) != 0; }
};

inline bool operator==(const Key& a, const Key& b) { return a.low == b.low && a.high == b.high; }
inline bool operator!=(const Key& a, const Key& b) { return !(a == b); }

// Of a source; `name` is the caller's own for bytes that lie in no file here, and tells them from all others, as a URL with its ETag
// does. No key: a file that is not there or not what it was, or bytes without a name. `variant`: what else the entry depends on.
//
// Note [times of change]
// A file system stamps changes with a clock that ticks every 1 to 10 ms, and two changes within a tick have one stamp. So a file that
// was changed within the current tick is looked at again in the next: what changes it from then on shows.
Key key_of(const io::Source& source, std::string_view name, uint32_t variant);

}  // namespace fastload::cache
