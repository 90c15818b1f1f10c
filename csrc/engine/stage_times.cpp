#include "engine/stage_times.h"

#include <chrono>

namespace fastload::engine {

namespace {

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

StageClock::StageClock(StageTimes* times, Stage stage) : times_(times), stage_(stage), start_ns_(now_ns()) {}

StageClock::~StageClock() { times_->ns[static_cast<int>(stage_)] += now_ns() - start_ns_; }

}  // namespace fastload::engine
