#include "engine/lanes.h"

#include <exception>
#include <utility>

namespace fastload::engine {

Lanes::Borrowed Lanes::borrow() {
  std::unique_ptr<Lane> lane;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!free_.empty()) {
      lane = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (lane == nullptr) lane = std::make_unique<Lane>(simd_);
  lane->times() = StageTimes{};
  return {lane.release(), {this}};
}

void Lanes::give_back(std::unique_ptr<Lane> lane) noexcept {
  lane->settle();
  const std::lock_guard<std::mutex> lock(mutex_);
  try {
    free_.push_back(std::move(lane));
  } catch (const std::exception&) {  // no memory: then this one goes
  }
}

}  // namespace fastload::engine
