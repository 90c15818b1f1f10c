// engine/high_water.h: how much memory is in use, and how much was of late; so how much may be kept for later. Guarded by its owner.
#pragma once

#include <algorithm>
#include <cstddef>

namespace fastload::engine {

class HighWater {
 public:
  // "Of late": since the last takes_a_window to twice as many.
  explicit HighWater(size_t takes_a_window) : takes_a_window_(takes_a_window) {}

  void take(size_t bytes) {
    in_use_ += bytes;
    if (++takes_ >= takes_a_window_) {
      before_ = now_;
      now_ = takes_ = 0;
    }
    now_ = std::max(now_, in_use_);
  }
  void give_back(size_t bytes) { in_use_ -= bytes; }

  size_t in_use() const { return in_use_; }
  // Of what is in use and what is free together: half as much again as was in use, so that sizes which take turns stay.
  size_t allowed() const {
    const size_t most = std::max(std::max(before_, now_), in_use_);
    return most + most / 2;
  }

 private:
  const size_t takes_a_window_;
  size_t takes_ = 0;
  size_t in_use_ = 0;
  size_t now_ = 0;  // the most of this window
  size_t before_ = 0;
};

}  // namespace fastload::engine
