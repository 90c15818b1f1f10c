#include "engine/batch.h"

#include <chrono>

namespace fastload::engine {

uint64_t DrawOrder::reserve(uint64_t count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t first = reserved_;
  reserved_ += count;
  return first;
}

bool DrawOrder::enter(uint64_t turn) {
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

void DrawOrder::leave() {
  drawing_.unlock();
  uint64_t next;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    next = ++turn_;
  }
  --coming_;
  queue_of(next).notify_all();
}

random::Mt19937 DrawOrder::generator_between_turns() const {
  const std::lock_guard<std::mutex> lock(drawing_);
  return generator_;
}

void DrawOrder::close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  for (std::condition_variable& queue : changed_) queue.notify_all();
}

Batch::~Batch() {
  if (block != BatchMemory::kNone) memory->give(block);
  for (const Slabs::Slab& slab : slabs.slabs()) memory->give(slab.block);
}

uint8_t* Batch::output() {
  const std::lock_guard<std::mutex> lock(memory_mutex_);
  if (out == nullptr) out = memory->take(samples.size() * sample_bytes, &block);
  return out;
}

bool Batch::done() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return remaining_ == 0;
}

bool Batch::wait(int64_t timeout_ms) {
  std::unique_lock<std::mutex> lock(mutex_);
  return finished_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return remaining_ == 0; });
}

size_t Batch::remaining() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return remaining_;
}

std::chrono::steady_clock::time_point Batch::finished_at() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return finished_at_;
}

bool Batch::planned() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return unplanned_ == 0 || remaining_ == 0;
}

bool Batch::wait_planned(int64_t timeout_ms) {
  std::unique_lock<std::mutex> lock(mutex_);
  return finished_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                            [&] { return unplanned_ == 0 || remaining_ == 0; });
}

}  // namespace fastload::engine
