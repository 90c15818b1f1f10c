// entries/store.h: the records that a loader knows, of all folders that its samples lie below.
//
// Read-only once made, but for the logs, which guard themselves. Any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "entries/record_file.h"
#include "entries/record_log.h"
#include "io/source.h"

namespace fastload::entries {

// What lies below one folder. A sample is known by its path from there, so that a data set may be moved; others by their whole path, and
// what comes from afar by its place.
struct Root {
  std::string prefix;  // of its paths, as the data set writes them, or of its places
  std::vector<std::shared_ptr<const RecordFile>> files;  // the newest first
  std::shared_ptr<RecordLog> log;                        // null: nothing is made

  bool find(const cache::Key& key, Buffer* to, ByteSpan* record) const;
  cache::Key key_of(const io::Source& source) const;
};

struct Store {
  std::vector<Root> roots;  // one at least
  int every = 16;           // K of what is made; 0: one entry point a row
  bool keeps = false;       // what is there stays, whatever its K
  bool verifies = false;    // the content of a file is looked at, not only its size and times

  const Root& root_of(const io::Source& source) const;
  // How many of these have a record; whether it holds, only who reads the source can tell.
  size_t count_known(const std::vector<io::Source>& sources) const;
};

}  // namespace fastload::entries
