// engine/target.h: what finished samples look like. One for all samples of a loader, read-only once made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "image/pack.h"

namespace fastload::engine {

struct Target {
  image::ValueMap values;
  image::Layout layout = image::Layout::chw;
  std::vector<uint8_t> table;  // what values.table points to
  size_t element_bytes = 0;
};

}  // namespace fastload::engine
