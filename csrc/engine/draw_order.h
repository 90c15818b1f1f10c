// engine/draw_order.h: the order in which the samples of one emulated worker draw from its generators: turn 0, 1, 2, … whatever
// thread has them.
//
// Any thread may call; several engines may share one. A turn that was reserved is begun and ended once, or the order is closed.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>

#include "random/streams.h"

namespace fastload::engine {

class DrawOrder {
 public:
  explicit DrawOrder(random::Streams generators) : generators_(std::move(generators)) {}

  // Turns for `count` further samples; returns the first.
  uint64_t reserve(uint64_t count);

  // A thread has a sample and will begin its turn; more than one at a time wait for one another.
  void come() { ++coming_; }
  bool is_anyone_coming() const { return coming_ > 0; }

  // Waits for a turn; false when the order was closed, and then nothing may be drawn and no turn ended.
  bool begin_turn(uint64_t turn);
  void end_turn();
  // Nobody draws any more; whoever waits gives up.
  void close();

  // To be used within a turn.
  random::Streams& generators() { return generators_; }
  // The generators as they are between two turns; waits for the one that is under way.
  random::Streams generators_between_turns() const;

  // False if this search, the n-th of a queue, has met the order before. Two queues that have batches of one order may each take it
  // for met; that costs one of them a better choice and no more.
  bool meet(uint64_t search) {
    if (met_by_search_.load(std::memory_order_relaxed) == search) return false;
    met_by_search_.store(search, std::memory_order_relaxed);
    return true;
  }

 private:
  // Turn t waits in queue t % kQueues, so that each turn wakes the next and not all: with 16 threads, all cost half of the speed.
  static constexpr size_t kQueues = 32;
  std::condition_variable& queue_of(uint64_t turn) { return changed_[turn % kQueues]; }

  mutable std::mutex mutex_;    // guards the three below
  mutable std::mutex drawing_;  // held by whoever has the turn; guards the generators
  std::condition_variable changed_[kQueues];
  uint64_t reserved_ = 0;
  uint64_t turn_ = 0;
  bool closed_ = false;
  random::Streams generators_;
  std::atomic<int> coming_{0};
  std::atomic<uint64_t> met_by_search_{0};
};

}  // namespace fastload::engine
