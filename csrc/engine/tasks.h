// engine/tasks.h: which samples of a batch are still to be started, and in which turns they draw. A task is one sample on one thread.
//
// At first every slot is a task, then each slot that was reclaimed. Guarded by the lock of the queue that the batch is in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace fastload::engine {

class Tasks {
 public:
  explicit Tasks(size_t samples) : samples_(samples) {}

  // The slots that are to be made once more, in the place of all; never empty. Only when all tasks were started.
  void begin_again(std::vector<size_t> slots) {
    reclaimed_ = std::move(slots);
    started_ = 0;
  }

  size_t unstarted() const { return count() - started_; }
  size_t start_next() {
    const size_t task = started_++;
    return are_reclaimed() ? reclaimed_[task] : task;
  }

  // Then nothing is drawn: each sample has its plan.
  bool are_reclaimed() const { return !reclaimed_.empty(); }

  uint64_t first_turn = 0;  // of the batch in its draw order; slot n has the n-th from here on

 private:
  size_t count() const { return are_reclaimed() ? reclaimed_.size() : samples_; }

  const size_t samples_;
  std::vector<size_t> reclaimed_;
  size_t started_ = 0;
};

}  // namespace fastload::engine
