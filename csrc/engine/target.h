// engine/target.h: what finished samples look like. One for all samples of a loader, read-only once made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "image/pack.h"
#include "random/generator.h"

namespace fastload::engine {

// Writes so many elements of normal deviates as torch draws them from there; may take Python's lock, and throw.
using NoiseFn = std::function<void(const random::Mt19937& generator, size_t count, uint8_t* out)>;

struct Target {
  image::ValueMap values;
  image::Layout layout = image::Layout::chw;
  std::vector<uint8_t> table;  // what values.table points to
  size_t element_bytes = 0;
  std::vector<uint8_t> erased;  // an element a channel for each erasure of the recipe that has values
  NoiseFn noise;                // for those that have noise
};

}  // namespace fastload::engine
