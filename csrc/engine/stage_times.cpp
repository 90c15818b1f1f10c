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

StepClock::StepClock(StageTimes* times) : times_(times), start_ns_(now_ns()) {}

void StepClock::end_step(int stage) {
  const int64_t now = now_ns();
  (stage == 0 ? times_->ns[static_cast<int>(Stage::resample)] : times_->of_steps[stage]) += now - start_ns_;
  start_ns_ = now;
}

}  // namespace fastload::engine
