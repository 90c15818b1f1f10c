// cache/hash.h: words and texts -> a key. Files hold such keys, so what comes out must stay the same.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "cache/key.h"

namespace fastload::cache {

// A bijection that spreads every bit over all others (Steele, Lea, Flood 2014: the finaliser of SplitMix).
inline uint64_t scramble(uint64_t word) {
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
  word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
  return word ^ (word >> 31);
}

// Two 64-bit chains, each a bijection of its state for every word, and the second looks at the first.
class Hash {
 public:
  void add(uint64_t word) {
    low_ = scramble(low_ ^ word) + 0x9E3779B97F4A7C15u;
    high_ = scramble(high_ + word + 0xD1B54A32D192ED03u) ^ low_;
  }
  void add(std::string_view text) {
    add(text.size());
    for (size_t at = 0; at < text.size(); at += sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, text.data() + at, std::min(sizeof word, text.size() - at));
      add(word);
    }
  }
  Key key() const {
    const Key made = {scramble(low_ + high_), scramble(high_)};
    return made.low != 0 ? made : Key{1, made.high};  // 0 marks a free slot
  }

 private:
  uint64_t low_ = 0x243F6A8885A308D3u;  // pi
  uint64_t high_ = 0x13198A2E03707344u;
};

// A path, and of one that is not absolute the folder that it is counted from. False: that folder is gone.
bool add_path(std::string_view path, Hash* hash);
// Which bytes of its file a source is.
void add_range(const io::Source& source, Hash* hash);

}  // namespace fastload::cache
