// engine/queue.h: batches with samples that have not started, and whose sample is next.
//
// The rule of next(), by which nobody waits for a turn that no thread is on its way to, and no thread waits where it could work:
//   1. Batches of one draw order start in the order of the queue: of each order only the first batch is looked at.
//   2. Rather not a batch in whose order a thread is already on its way to its turn: who takes another sample of it would wait.
//   3. Of what is left: the first batch that defers bytes, as another decoder must not run out of them; else the first batch.
//   4. Where nothing is left, every batch would wait: the first of the queue.
// Samples of a batch start in the order of its tasks. Reclaimed samples draw nothing, and so wait for nobody.
//
// Guarded by its owner's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "engine/batch.h"

namespace fastload::engine {

// One sample for one thread.
struct Task {
  std::shared_ptr<Batch> batch;  // null: there is none
  size_t slot = 0;
  uint64_t turn = 0;  // in the batch's draw order; the thread has come to it
  bool is_reclaimed = false;
};

class Queue {
 public:
  using Entries = std::deque<std::shared_ptr<Batch>>;

  // Behind all others; turns in its draw order are reserved, so that they are in the order of the queue.
  void push_back(const std::shared_ptr<Batch>& batch);
  // Before all others: reclaimed samples, for which somebody waits already.
  void push_front(const std::shared_ptr<Batch>& batch);

  // Starts the next sample, and lets go of a batch with its last.
  Task next();

  // Null: the batch is not in it.
  std::shared_ptr<Batch> remove(const Batch& batch);
  // Null: it is empty.
  std::shared_ptr<Batch> front() const { return entries_.empty() ? nullptr : entries_.front(); }

 private:
  Entries::iterator choose();
  void erase(Entries::iterator entry);

  Entries entries_;
  size_t deferring_bytes_ = 0;  // of them
  uint64_t searches_ = 0;       // of choose()
};

}  // namespace fastload::engine
