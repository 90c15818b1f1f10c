// entries/record_log.h: records that one process makes, one behind the other in a file of its own, to be merged with others' later.
//
// The file comes with the first record, and is locked for as long as its process lives: what nobody has a lock on was left behind. A
// process that dies leaves whole records and at most a part of one. Any thread; a forked child adds nothing.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "buffer.h"
#include "cache/key.h"
#include "types.h"

namespace fastload::entries {

class RecordLog {
 public:
  // In a folder, which comes with the first record, too.
  RecordLog(std::string folder, std::string name);
  ~RecordLog();
  RecordLog(const RecordLog&) = delete;
  RecordLog& operator=(const RecordLog&) = delete;

  // False: it cannot be written, and from then on nothing is.
  bool add(const cache::Key& key, ByteSpan record);
  bool find(const cache::Key& key, Buffer* to, ByteSpan* record) const;
  // No more are added, and whoever merges may have them, though a sample that still runs may hold this for a while.
  void end();

  // Whether a record would be added.
  bool is_open() const;
  size_t records() const;
  const std::string& path() const { return path_; }

 private:
  // With the lock.
  bool create();

  const std::string folder_;
  const std::string path_;
  const pid_t owner_;
  std::atomic<bool> has_failed_{false};
  mutable std::mutex mutex_;
  int fd_ = -1;
  uint64_t bytes_ = 0;
  std::unordered_map<uint64_t, uint64_t> places_;  // by half of the key
};

}  // namespace fastload::entries
