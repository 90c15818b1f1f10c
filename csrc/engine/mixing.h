// engine/mixing.h: what is done to a batch as a whole once all its samples are there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "random/streams.h"
#include "types.h"

namespace fastload::engine {

struct Mixing {
  enum class Kind : uint8_t { nothing, mix_up, cut_mix };
  Kind kind = Kind::nothing;
  int32_t which = 0;    // of the transforms that may do it
  double lambda = 1;    // the share of each sample's own target
  float own = 1;        // mix_up: the share of its own values, and of those of the one before it
  float other = 0;
  Box box;              // cut_mix: what is taken from the one before it
};

// Who knows what is done to a batch.
struct Mixer {
  // Draws it, when the batch's last sample has drawn. May take Python's lock, and throw. Empty: nothing is done.
  std::function<Mixing(random::Streams*)> draw;
  std::string stage;  // to which its time counts
};

}  // namespace fastload::engine
