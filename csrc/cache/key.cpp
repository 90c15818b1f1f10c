#include "cache/key.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <climits>

#include "cache/hash.h"

namespace fastload::cache {

namespace {

constexpr int64_t kNanoseconds = 1000000000;
constexpr int64_t kLongestTick = 20000000;  // of a clock that stamps files, in nanoseconds; 10 ms is the most on Linux
constexpr int64_t kLook = 1000000;          // between two looks

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

bool add_path(std::string_view path, Hash* hash) {
  if (path.empty() || path.front() != '/') {
    char folder[PATH_MAX];
    if (::getcwd(folder, sizeof folder) == nullptr) return false;
    hash->add(folder);
  }
  hash->add(path);
  return true;
}

void add_range(const io::Source& source, Hash* hash) {
  const bool is_range = source.kind == io::SourceKind::range;
  hash->add(is_range ? static_cast<uint64_t>(source.offset) : 0);
  hash->add(is_range ? static_cast<uint64_t>(source.length) : UINT64_MAX);
}

Key key_of(const io::Source& source, std::string_view name, uint32_t variant) {
  Hash hash;
  hash.add(variant);
  if (!name.empty()) {
    hash.add(name);
    return hash.key();
  }
  if (source.kind == io::SourceKind::memory || source.path.empty()) return {};
  struct stat info;
  if (!look_at(source.path.data(), &info) || !S_ISREG(info.st_mode) || !source.state.is_of(info)) return {};
  if (!add_path(source.path, &hash)) return {};
  add_range(source, &hash);
  hash.add(info.st_dev);
  hash.add(static_cast<uint64_t>(info.st_size));
  hash.add(static_cast<uint64_t>(nanoseconds(info.st_mtim)));
  hash.add(static_cast<uint64_t>(nanoseconds(info.st_ctim)));
  return hash.key();
}

}  // namespace fastload::cache
