// cache/cache.h: samples that are kept in memory from their first use on, and what is asked of them.
#pragma once

#include <cstdint>
#include <string_view>

#include "cache/store.h"

namespace fastload::cache {

// What of a sample is kept: its bytes, or the pixels of the whole image, so that its window may be another each time.
enum class Kind : uint8_t { encoded, decoded };

// Read-only once made, but for its store, which guards itself.
struct Cache {
  Kind kind = Kind::encoded;
  Store store;
};

// For one sample. Views only.
struct Lookup {
  const Cache* cache = nullptr;  // null: nothing is looked up or kept
  std::string_view name;         // see key_of()
  uint32_t variant = 0;
};

}  // namespace fastload::cache
