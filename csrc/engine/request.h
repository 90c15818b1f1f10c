// engine/request.h: what is asked of the engine: N sources, what to do with them, and where the result goes.
//
// Made by the caller, moved into a Batch, and from then on read by every thread and changed by nobody. `owned` keeps alive what
// the rest points into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "cache/cache.h"
#include "engine/deferred.h"
#include "engine/draw_order.h"
#include "engine/memory.h"
#include "engine/mixing.h"
#include "engine/target.h"
#include "entries/store.h"
#include "io/source.h"
#include "recipe/recipe.h"

namespace fastload::engine {

struct Sample {
  io::Source source;
  uint64_t index = 0;           // in the data set; what counter-based draws depend on
  std::string_view cache_name;  // see cache::key_of()
};

struct Request {
  std::vector<Sample> samples;
  std::shared_ptr<const void> owned;  // the caller's, kept for as long as a sample may run; for its Fallback

  std::shared_ptr<const recipe::Recipe> recipe;
  std::shared_ptr<DrawOrder> order;  // null: counter-based draws from (seed, epoch, index)
  uint64_t seed = 0;
  uint32_t epoch = 0;
  bool stop_at_failure = true;  // samples after a failed one are cancelled and draw nothing
  int64_t max_pixels = 0;       // of an image; 0: no limit

  std::shared_ptr<const Target> target;
  int32_t out_width = 0;
  int32_t out_height = 0;
  size_t sample_bytes = 0;              // of one finished sample
  uint8_t* out = nullptr;               // samples.size() images of out_height x out_width; or null, and then
  std::shared_ptr<BatchMemory> memory;  // … where the engine takes it from when it first writes

  std::shared_ptr<const cache::Cache> cache;  // null: none
  uint32_t cache_variant = 0;

  std::shared_ptr<const entries::Store> entries;  // null: none

  Mixer mixer;  // only with an order, where nothing is deferred, and of Layout::chw

  Defer defer = Defer::nothing;  // windows only where there is `memory`
};

}  // namespace fastload::engine
