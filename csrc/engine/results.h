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
#include "engine/stage_times.h"
#include "random/generator.h"
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
  random::Mt19937 generator_after;  // of the order, once the batch's last sample has drawn: where a resumed run goes on
  StageTimes times;                 // of all samples together
  int64_t fallbacks = 0;            // samples for which another decoder was asked here
  int64_t cached = 0;               // samples that the cache had
};

}  // namespace fastload::engine
