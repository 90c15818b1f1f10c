// engine/batch.h: one batch on its way through the engine: N sources in, one tensor and N outcomes out.
//
// Its parts by owner, and the lock that guards each:
//   asked          the caller's, immutable: none
//   tasks          the queue's: the lock of the ThreadPool
//   results        the threads': see Results; the batch's own lock where that names it
//   output, slabs, works  memory: a lock of their own each
//   failed, cancelled  raised by any thread, never lowered: atomic
// Whoever holds the pool's lock may take the batch's, and nobody who holds either waits for Python's. Output, slabs and works may: they take
// memory while they hold theirs.
//
// Its phases: made; submitted, once it is the engine's; planned, when it is known which samples are deferred (at once where none can
// be); done, when no sample runs any more. A batch that is done goes back to planned when samples are reclaimed.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "engine/output.h"
#include "engine/request.h"
#include "engine/results.h"
#include "engine/slabs.h"
#include "engine/tasks.h"
#include "engine/works.h"

namespace fastload::engine {

enum class Phase : uint8_t { made, submitted, planned, done };

class Batch {
 public:
  explicit Batch(Request request);
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  const Request asked;
  Tasks tasks;
  Results results;
  Output output;
  Slabs slabs;
  Works works;
  std::atomic<bool> failed{false};     // a sample has
  std::atomic<bool> cancelled{false};  // no further sample is to start

  // Another decoder must not run out of them.
  bool defers_bytes() const { return asked.defer == Defer::bytes; }

  // For any thread.
  Phase phase() const;
  // True once it is that far; false after `timeout_ms`.
  bool wait(Phase phase, int64_t timeout_ms) const;
  // Samples that are not done.
  size_t remaining() const;
  // When it was done; before that, of no meaning.
  std::chrono::steady_clock::time_point finished_at() const;

  // For the engine. Made -> submitted.
  void begin();
  // Done -> planned, with these slots as tasks. With the pool's lock.
  void begin_again(std::vector<size_t> slots);
  // One more sample is planned.
  void end_plan();
  // One more sample is done. `status` may be not ok, and then its message is copied.
  void end_sample(size_t slot, const Status& status, const StageTimes& times);
  // All samples that have not started are cancelled, and done. With the pool's lock.
  void cancel_unstarted();
  // Before that, of a batch that is mixed: true of the last of all, if none has failed.
  bool is_to_be_mixed(const Status& status);
  void count_fallback();
  void count_cached();
  void count_entries(bool entered, bool noted, bool refused);
  // One that was counted as entered was not.
  void count_entries_as_refused();

 private:
  // With the lock, as the next.
  Phase phase_now() const;
  void end_samples(size_t count);

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;  // the phase has
  bool submitted_ = false;
  size_t unplanned_ = 0;
  size_t remaining_ = 0;
  std::atomic<size_t> unmixed_;
  std::chrono::steady_clock::time_point finished_at_;
};

}  // namespace fastload::engine
