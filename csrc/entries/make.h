// entries/make.h: files -> their records, on threads of its own: what `fastload index` does.
#pragma once

#include <cstdint>
#include <vector>

#include "entries/store.h"
#include "io/source.h"

namespace fastload::entries {

struct Made {
  int64_t made = 0;
  int64_t known = 0;   // had one that holds
  int64_t none = 0;    // cannot have one
  int64_t failed = 0;  // cannot be read, or their record not be written
  int64_t bytes = 0;   // that were read
  int64_t replaced = 0;  // of those made, which had one of another K
};

// Whether there is a record, with as many entry points as are wanted, of this version of what comes from afar: so it need not be fetched.
bool is_known(const Store& store, const io::Source& source);

// Each source that has no record that holds gets one, in its root's log.
Made make(const Store& store, const std::vector<io::Source>& sources, int threads);

}  // namespace fastload::entries
