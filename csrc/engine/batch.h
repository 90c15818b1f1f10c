// engine/batch.h: one batch on its way through the engine: N sources in, one tensor and N outcomes out.
//
// The caller fills the first part; `owned` keeps alive what it points to. The engine's threads write the second part, of which the
// caller reads nothing before done().
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "engine/lane.h"
#include "engine/memory.h"

namespace fastload::engine {

// The order in which the samples of one emulated worker draw from its generator: turn 0, 1, 2, … whatever thread has them.
class DrawOrder {
 public:
  explicit DrawOrder(const random::Mt19937& generator) : generator_(generator) {}

  // A thread has a sample and will enter(); more than one at a time wait for one another.
  void come() { ++coming_; }
  bool is_anyone_coming() const { return coming_ > 0; }

  // Turns for `count` further samples; returns the first.
  uint64_t reserve(uint64_t count);
  // Waits for a turn; false when the order was closed, and then nothing may be drawn and nobody leaves.
  bool enter(uint64_t turn);
  void leave();
  // Nobody draws any more; whoever waits gives up.
  void close();

  // To be used between enter() and leave().
  random::Mt19937& generator() { return generator_; }
  // The generator as it is between two turns; waits for the one that is under way.
  random::Mt19937 generator_between_turns() const;

  std::atomic<uint64_t> seen_by_search{0};  // by the engine whose batches have this order; what two of them see does no harm

 private:
  // Turn t waits in queue t % kQueues, so that each turn wakes the next and not all: with 16 threads, all cost half of the speed.
  static constexpr size_t kQueues = 32;
  std::condition_variable& queue_of(uint64_t turn) { return changed_[turn % kQueues]; }

  mutable std::mutex mutex_;
  mutable std::mutex drawing_;  // held by whoever has the turn
  std::condition_variable changed_[kQueues];
  std::atomic<int> coming_{0};
  uint64_t reserved_ = 0;
  uint64_t turn_ = 0;
  bool closed_ = false;
  random::Mt19937 generator_;
};

struct Sample {
  io::Source source;
  uint64_t index = 0;  // in the data set; what counter-based draws depend on
};

struct Outcome {
  Code code = Code::ok;
  std::string message;
};

struct Batch {
  std::vector<Sample> samples;
  std::string path_text;              // what the samples' paths point into, each followed by a NUL
  std::shared_ptr<const void> owned;  // the caller's, kept for as long as a sample may run; for its Fallback
  std::shared_ptr<const recipe::Recipe> recipe;
  std::shared_ptr<const Target> target;
  uint8_t* out = nullptr;               // samples.size() images of out_height x out_width; or null, and then
  std::shared_ptr<BatchMemory> memory;  // … where the engine takes it from when it first writes
  size_t sample_bytes = 0;
  int32_t out_width = 0;
  int32_t out_height = 0;
  int64_t max_pixels = 0;
  Leave leave = Leave::nothing;      // coefficients only where there is `memory`
  bool stop_at_failure = true;       // samples after a failed one are cancelled and draw nothing
  std::shared_ptr<DrawOrder> order;  // null: counter-based draws from (seed, epoch, index)
  uint64_t first_turn = 0;
  uint64_t seed = 0;
  uint32_t epoch = 0;

  std::vector<Outcome> outcomes;
  StageTimes times;
  int64_t fallbacks = 0;
  random::Mt19937 generator_after;  // of `order`, once the batch's last sample has drawn: where a resumed run goes on
  std::vector<Deferred> deferred;   // where something is left, by slot: the samples of which it was
  std::vector<Keep> kept;           // … and why each of the others was not
  int block = BatchMemory::kNone;   // of `memory`, once taken; goes back with the batch unless the caller resets it
  Slabs slabs;                      // the same of its coefficients

  Batch() = default;
  ~Batch();
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  bool done() const;
  // True once done; false after `timeout_ms`.
  bool wait(int64_t timeout_ms);
  // Samples that are not done.
  size_t remaining() const;
  // When it was done; before that, of no meaning.
  std::chrono::steady_clock::time_point finished_at() const;
  // True once all that could be left to the other decoder is known, or the batch is done.
  bool planned() const;
  bool wait_planned(int64_t timeout_ms);

 private:
  friend class Engine;
  // `out`, taken if need be. Null: out of memory.
  uint8_t* output();
  size_t tasks() const { return again_.empty() ? samples.size() : again_.size(); }
  bool draws_in_turn() const { return order && again_.empty(); }
  size_t slot_of(size_t task) const { return again_.empty() ? task : again_[task]; }

  mutable std::mutex mutex_;
  std::mutex memory_mutex_;  // apart: it is held while Python's lock is waited for
  std::condition_variable finished_;
  size_t started_ = 0;         // tasks; guarded by the engine's queue lock, as the next
  std::vector<size_t> again_;  // slots that were taken back; empty: every slot is a task
  size_t remaining_ = 0;       // guarded by mutex_, as the next two
  size_t unplanned_ = 0;
  std::chrono::steady_clock::time_point finished_at_;
  std::atomic<bool> failed_{false};
  std::atomic<bool> cancelled_{false};
};

}  // namespace fastload::engine
