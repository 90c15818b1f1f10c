// engine/results.h: what came of a batch.
//
// What has an entry a slot is written by the thread that has the sample, without a lock; outcomes and sums under the batch's lock.
// Others read it once the batch is done, and what was deferred as bytes once it is planned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/deferred.h"
#include "engine/mixing.h"
#include "engine/stage_times.h"
#include "random/streams.h"
#include "types.h"

namespace fastload::engine {

struct Outcome {
  Code code = Code::ok;
  std::string message;
};

struct Results {
  std::vector<Outcome> outcomes;    // a slot
  std::vector<Deferred> deferred;   // a slot, where something may be deferred
  std::vector<Keep> kept;           // a slot: why it was not
  random::Streams generators_after = random::Mt19937();  // of the order, once the batch's last sample has drawn: where a resumed run goes on
  Mixing mixing;                    // … and what is done to all of them
  StageTimes times;                 // of all samples together
  size_t slowest = 0;               // the slot whose sample took longest, but for waits for other samples' draws
  int64_t slowest_ns = 0;
  int64_t fallbacks = 0;            // samples for which another decoder was asked here
  int64_t cached = 0;               // samples that the cache had
  int64_t entered = 0;              // … that were decoded by entry points
  int64_t noted = 0;                // … of which entry points were kept
  int64_t refused = 0;              // … whose entry points were of no use
};

}  // namespace fastload::engine
