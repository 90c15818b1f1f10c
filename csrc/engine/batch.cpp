#include "engine/batch.h"

#include <new>
#include <utility>

namespace fastload::engine {

Batch::Batch(Request request)
    : asked(std::move(request)),
      tasks(asked.samples.size()),
      output(asked.out, asked.memory, asked.samples.size() * asked.sample_bytes),
      slabs(asked.memory),
      works(asked.samples.size()),
      unmixed_(asked.samples.size()) {
  const size_t count = asked.samples.size();
  results.outcomes.resize(count);
  if (asked.defer == Defer::nothing) return;
  results.deferred.resize(count);
  results.kept.assign(count, Keep::none);
}

Phase Batch::phase_now() const {
  if (!submitted_) return Phase::made;
  if (remaining_ == 0) return Phase::done;
  return unplanned_ == 0 ? Phase::planned : Phase::submitted;
}

Phase Batch::phase() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return phase_now();
}

bool Batch::wait(Phase phase, int64_t timeout_ms) const {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return phase_now() >= phase; });
}

size_t Batch::remaining() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return remaining_;
}

std::chrono::steady_clock::time_point Batch::finished_at() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return finished_at_;
}

void Batch::begin() {
  const std::lock_guard<std::mutex> lock(mutex_);
  submitted_ = true;
  remaining_ = asked.samples.size();
  unplanned_ = asked.defer == Defer::nothing ? 0 : remaining_;
}

void Batch::begin_again(std::vector<size_t> slots) {
  const std::lock_guard<std::mutex> lock(mutex_);
  unplanned_ = 0;  // cancelled samples never were
  remaining_ = slots.size();
  tasks.begin_again(std::move(slots));
}

void Batch::end_plan() {
  if (asked.defer == Defer::nothing) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--unplanned_ == 0) changed_.notify_all();
}

bool Batch::is_to_be_mixed(const Status& status) {
  if (!status.ok()) failed = true;
  return --unmixed_ == 0 && !failed && results.mixing.kind != Mixing::Kind::nothing;
}

void Batch::end_sample(size_t slot, const Status& status, const StageTimes& times) {
  const std::lock_guard<std::mutex> lock(mutex_);
  results.times.add(times);
  if (times.own() > results.slowest_ns) {
    results.slowest = slot;
    results.slowest_ns = times.own();
  }
  if (!status.ok()) {
    Outcome& outcome = results.outcomes[slot];
    outcome.code = status.code;
    try {
      outcome.message = status.message;
    } catch (const std::bad_alloc&) {  // then it has none
    }
  }
  end_samples(1);
}

void Batch::cancel_unstarted() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t dropped = tasks.unstarted();
  while (tasks.unstarted() > 0) results.outcomes[tasks.start_next()].code = Code::cancelled;
  end_samples(dropped);
}

void Batch::end_samples(size_t count) {
  remaining_ -= count;
  if (remaining_ > 0) return;
  finished_at_ = std::chrono::steady_clock::now();
  changed_.notify_all();  // under the lock: a waiter that sees zero may destroy the batch at once
}

void Batch::count_fallback() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++results.fallbacks;
}

void Batch::count_cached() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++results.cached;
}

void Batch::count_entries_as_refused() {
  const std::lock_guard<std::mutex> lock(mutex_);
  --results.entered;
  ++results.refused;
}

void Batch::count_entries(bool entered, bool noted, bool refused) {
  if (!entered && !noted && !refused) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  results.entered += entered;
  results.noted += noted;
  results.refused += refused;
}

}  // namespace fastload::engine
