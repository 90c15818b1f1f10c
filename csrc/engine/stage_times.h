// engine/stage_times.h: how long each stage of a sample took. One thread at a time.
#pragma once

#include <cstdint>

namespace fastload::engine {

enum class Stage : uint8_t { read, header, turn, draw, decode, resample, pack, fallback, count };
constexpr int kStages = static_cast<int>(Stage::count);

struct StageTimes {
  int64_t ns[kStages] = {};

  void add(const StageTimes& other) {
    for (int stage = 0; stage < kStages; ++stage) ns[stage] += other.ns[stage];
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

}  // namespace fastload::engine
