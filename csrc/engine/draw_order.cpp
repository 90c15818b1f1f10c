#include "engine/draw_order.h"

namespace fastload::engine {

uint64_t DrawOrder::reserve(uint64_t count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t first = reserved_;
  reserved_ += count;
  return first;
}

bool DrawOrder::begin_turn(uint64_t turn) {
  std::unique_lock<std::mutex> lock(mutex_);
  queue_of(turn).wait(lock, [&] { return turn_ == turn || closed_; });
  if (closed_) {
    --coming_;
    return false;
  }
  lock.unlock();
  drawing_.lock();
  return true;
}

void DrawOrder::end_turn() {
  drawing_.unlock();
  uint64_t next;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    next = ++turn_;
  }
  --coming_;
  queue_of(next).notify_all();
}

void DrawOrder::close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  for (std::condition_variable& queue : changed_) queue.notify_all();
}

random::Streams DrawOrder::generators_between_turns() const {
  const std::lock_guard<std::mutex> lock(drawing_);
  return generators_;
}

}  // namespace fastload::engine
