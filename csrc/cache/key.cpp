#include "cache/key.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>

namespace fastload::cache {

namespace {

constexpr int64_t kNanoseconds = 1000000000;
constexpr int64_t kLongestTick = 20000000;  // of a clock that stamps files, in nanoseconds; 10 ms is the most on Linux
constexpr int64_t kLook = 1000000;          // between two looks

// A bijection that spreads every bit over all others (Steele, Lea, Flood 2014: the finaliser of SplitMix).
uint64_t scramble(uint64_t word) {
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

int64_t nanoseconds(const timespec& time) { return time.tv_sec * kNanoseconds + time.tv_nsec; }

// See Note [times of change]. False: no such file.
bool look_at(const char* path, struct stat* info) {
  for (int64_t waited = 0;; waited += kLook) {
    if (::stat(path, info) != 0) return false;
    timespec now{};
#if defined(CLOCK_REALTIME_COARSE)
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
#else
    ::clock_gettime(CLOCK_REALTIME, &now);
#endif
    const int64_t since = nanoseconds(now) - nanoseconds(info->st_ctim);
    if (since > 0 || since < -kLongestTick || waited > kLongestTick) return true;  // a clock far ahead is another machine's
    const timespec rest = {0, kLook};
    ::nanosleep(&rest, nullptr);
  }
}

}  // namespace

Key key_of(const io::Source& source, std::string_view name, uint32_t variant) {
  Hash hash;
  hash.add(variant);
  if (!name.empty()) {
    hash.add(name);
    return hash.key();
  }
  if (source.kind == io::SourceKind::memory || source.path.empty()) return {};
  struct stat info;
  if (!look_at(source.path.data(), &info) || !S_ISREG(info.st_mode)) return {};
  if (source.path.front() != '/') {
    char folder[PATH_MAX];
    if (::getcwd(folder, sizeof folder) == nullptr) return {};
    hash.add(folder);
  }
  hash.add(source.path);
  const bool is_range = source.kind == io::SourceKind::range;
  hash.add(is_range ? static_cast<uint64_t>(source.offset) : 0);
  hash.add(is_range ? static_cast<uint64_t>(source.length) : UINT64_MAX);
  hash.add(info.st_dev);
  hash.add(static_cast<uint64_t>(info.st_size));
  hash.add(static_cast<uint64_t>(nanoseconds(info.st_mtim)));
  hash.add(static_cast<uint64_t>(nanoseconds(info.st_ctim)));
  return hash.key();
}

}  // namespace fastload::cache
