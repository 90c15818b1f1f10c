#include "engine/queue.h"

#include <algorithm>

namespace fastload::engine {

namespace {

bool draws_in_turn(const Batch& batch) { return batch.asked.order != nullptr && !batch.tasks.are_reclaimed(); }

}  // namespace

void Queue::push_back(const std::shared_ptr<Batch>& batch) {
  entries_.push_back(batch);
  deferring_bytes_ += batch->defers_bytes();
  if (batch->asked.order) batch->tasks.first_turn = batch->asked.order->reserve(batch->asked.samples.size());
}

void Queue::push_front(const std::shared_ptr<Batch>& batch) {
  entries_.push_front(batch);
  deferring_bytes_ += batch->defers_bytes();
}

Queue::Entries::iterator Queue::choose() {
  ++searches_;
  auto first = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    const Batch& batch = **entry;
    if (draws_in_turn(batch)) {
      DrawOrder& order = *batch.asked.order;
      if (!order.meet(searches_) || order.is_anyone_coming()) continue;
    }
    if (batch.defers_bytes() || deferring_bytes_ == 0) return entry;
    if (first == entries_.end()) first = entry;
  }
  return first != entries_.end() ? first : entries_.begin();
}

Task Queue::next() {
  if (entries_.empty()) return {};
  const auto entry = choose();
  Batch& batch = **entry;
  const bool in_turn = draws_in_turn(batch);
  const size_t slot = batch.tasks.start_next();
  if (in_turn) batch.asked.order->come();
  const Task task = {*entry, slot, batch.tasks.first_turn + slot, batch.tasks.are_reclaimed()};
  if (batch.tasks.unstarted() == 0) erase(entry);
  return task;
}

std::shared_ptr<Batch> Queue::remove(const Batch& batch) {
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const std::shared_ptr<Batch>& other) { return other.get() == &batch; });
  if (entry == entries_.end()) return nullptr;
  const std::shared_ptr<Batch> removed = *entry;
  erase(entry);
  return removed;
}

void Queue::erase(Entries::iterator entry) {
  deferring_bytes_ -= (*entry)->defers_bytes();
  entries_.erase(entry);
}

}  // namespace fastload::engine
