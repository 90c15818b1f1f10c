// engine/stages.h: one sample's way on one thread: open, draw in its turn, then defer it, or decode, resample and pack it.
//
// What fails is answered by the Fallback where that may know better, else it is the sample's outcome. Nothing is thrown.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "engine/bytes.h"
#include "engine/fallback.h"
#include "engine/queue.h"

namespace fastload::engine {

// What the samples of one engine share.
struct Surroundings {
  explicit Surroundings(Fallback asked) : fallback(std::move(asked)) {}

  const Fallback fallback;            // may be empty
  std::atomic<bool> stopping{false};  // no fallback is asked any more
  const std::shared_ptr<BytePool> bytes = std::make_shared<BytePool>();
};

// Makes the task's sample, with a lane that is this thread's. The batch has its outcome then; the lane has been settled.
void run_stages(const Surroundings& surroundings, const Task& task, Lane* lane);

}  // namespace fastload::engine
