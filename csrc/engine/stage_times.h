// engine/stage_times.h: how long each stage of a sample took. One thread at a time.
#pragma once

#include <cstdint>

#include "recipe/recipe.h"

namespace fastload::engine {

enum class Stage : uint8_t { read, header, turn, draw, decode, resample, pack, fallback, count };
constexpr int kStages = static_cast<int>(Stage::count);

struct StageTimes {
  int64_t ns[kStages] = {};
  int64_t of_steps[recipe::kMostStages] = {};  // by the recipe's stages; of the first, which is Stage::resample, nothing
  int64_t of_mixing = 0;                       // of the whole batch: no sample's own

  void add(const StageTimes& other) {
    for (int stage = 0; stage < kStages; ++stage) ns[stage] += other.ns[stage];
    for (int stage = 0; stage < recipe::kMostStages; ++stage) of_steps[stage] += other.of_steps[stage];
    of_mixing += other.of_mixing;
  }

  // All but waiting for other samples' draws.
  int64_t own() const {
    int64_t sum = -ns[static_cast<int>(Stage::turn)];
    for (const int64_t each : ns) sum += each;
    for (const int64_t each : of_steps) sum += each;
    return sum;
  }
};

// Adds the time from its construction to its end to one stage.
class StageClock {
 public:
  StageClock(StageTimes* times, Stage stage);
  ~StageClock();
  StageClock(const StageClock&) = delete;
  StageClock& operator=(const StageClock&) = delete;

 private:
  StageTimes* times_;
  Stage stage_;
  int64_t start_ns_;
};

// Adds the time from its construction, or from the last step's end, to the stage that a step counts to.
class StepClock {
 public:
  explicit StepClock(StageTimes* times);
  void end_step(int stage);

 private:
  StageTimes* times_;
  int64_t start_ns_;
};

}  // namespace fastload::engine
