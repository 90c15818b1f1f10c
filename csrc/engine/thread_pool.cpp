#include "engine/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "engine/thread_setup.h"

namespace fastload::engine {

namespace {

// The pool whose thread this is; null: nobody's.
thread_local const void* pool_of_this_thread = nullptr;

}  // namespace

ThreadPool::ThreadPool(Fallback fallback, size_t threads)
    : surroundings_(std::move(fallback)), workers_(threads), running_(threads) {}

void ThreadPool::start(image::Simd simd, int niceness) {
  const SignalsBlocked inherited;
  size_t started = 0;
  try {
    for (Worker& worker : workers_) {
      auto begin = [pool = shared_from_this(), &worker, niceness, lane = std::make_unique<Lane>(simd)] {
        be_nice(niceness);
        pool->work(worker, *lane);
      };
      const std::lock_guard<std::mutex> lock(mutex_);
      worker.thread = std::thread(std::move(begin));
      ++living_;
      ++started;
      pthread_setname_np(worker.thread.native_handle(), "fastload");
    }
  } catch (const std::exception&) {
    throw std::system_error(
        std::make_error_code(std::errc::resource_unavailable_try_again),
        "only " + std::to_string(started) + " of " + std::to_string(workers_.size()) + " threads could be started");
  }
}

void ThreadPool::submit(const std::shared_ptr<Batch>& batch) {
  batch->begin();
  if (batch->asked.samples.empty()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_stopping()) {
      batch->cancelled = true;
      if (batch->asked.order) batch->asked.order->close();
      batch->cancel_unstarted();
      return;
    }
    queue_.push_back(batch);
  }
  work_or_stop_.notify_all();
}

void ThreadPool::reclaim(const std::shared_ptr<Batch>& batch, std::vector<size_t> slots) {
  std::vector<Deferred>& deferred = batch->results.deferred;
  const auto is_made = [&](size_t slot) { return slot >= deferred.size() || !deferred[slot].pending; };
  slots.erase(std::remove_if(slots.begin(), slots.end(), is_made), slots.end());
  if (slots.empty()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!is_stopping()) queue_.push_front(batch);
    for (const size_t slot : slots) deferred[slot].pending = false;
    batch->begin_again(std::move(slots));
    if (is_stopping()) batch->cancel_unstarted();
  }
  work_or_stop_.notify_all();
}

void ThreadPool::abandon(Batch& batch) {
  batch.cancelled = true;
  if (batch.asked.order) batch.asked.order->close();
  for (const Sample& sample : batch.asked.samples) {
    if (sample.source.arrival != nullptr) sample.source.arrival->give_up();
  }
  std::shared_ptr<Batch> removed;  // the caller's reference may be the queue's; its end may be here: not with the lock
  const std::lock_guard<std::mutex> lock(mutex_);
  removed = queue_.remove(batch);
  if (removed != nullptr) batch.cancel_unstarted();
}

void ThreadPool::end() {
  const auto next_to_abandon = [this](size_t* worker) -> std::shared_ptr<Batch> {
    const std::lock_guard<std::mutex> lock(mutex_);
    surroundings_.stopping = true;
    if (auto queued = queue_.front()) return queued;
    while (*worker < workers_.size()) {
      if (const auto& batch = workers_[(*worker)++].running) return batch;
    }
    return nullptr;
  };
  size_t worker = 0;
  while (const std::shared_ptr<Batch> batch = next_to_abandon(&worker)) abandon(*batch);
  work_or_stop_.notify_all();
}

void ThreadPool::stop(std::chrono::milliseconds patience) {
  end();
  std::unique_lock<std::mutex> lock(mutex_);
  // A thread cannot wait for itself, nor for those that wait for its turn to pass.
  if (pool_of_this_thread != this) thread_ended_.wait_for(lock, patience, [&] { return living_ == 0; });
  for (Worker& worker : workers_) {
    if (!worker.thread.joinable()) continue;
    worker.has_ended ? worker.thread.join() : worker.thread.detach();  // who has ended wants the lock no more
  }
}

void ThreadPool::run_on(size_t threads) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    running_ = std::clamp<size_t>(threads, 1, workers_.size());
  }
  work_or_stop_.notify_all();
}

size_t ThreadPool::running() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return running_;
}

uint64_t ThreadPool::samples_made() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return samples_made_;
}

void ThreadPool::work(Worker& self, Lane& lane) {
  pool_of_this_thread = this;
  std::unique_lock<std::mutex> lock(mutex_);
  while (!is_stopping()) {
    const Task task = rests(self) ? Task{} : queue_.next();
    std::shared_ptr<Batch> before = std::move(self.running);  // its end may be here: not with the lock
    self.running = task.batch;
    if (task.batch == nullptr && before == nullptr) {
      work_or_stop_.wait(lock);
      continue;
    }
    lock.unlock();
    before.reset();
    if (task.batch != nullptr) run_stages(surroundings_, task, &lane);
    lock.lock();
    samples_made_ += task.batch != nullptr;
  }
  std::shared_ptr<Batch> before = std::move(self.running);
  lock.unlock();
  before.reset();
  lock.lock();
  self.has_ended = true;
  --living_;
  thread_ended_.notify_all();
}

}  // namespace fastload::engine
