// engine/thread_pool.h: what the threads of an engine work on together. They own it with the engine, which may end before one of them
// does: a thread may be stuck in a file system that does not answer.
//
// Any thread may call, in the process that started it. Nobody who holds the lock waits for Python's.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/queue.h"
#include "engine/stages.h"
#include "image/resample.h"

namespace fastload::engine {

class ThreadPool : public std::enable_shared_from_this<ThreadPool> {
 public:
  ThreadPool(Fallback fallback, size_t threads);

  // Once. std::system_error where they cannot all be started; those that were are to be stopped.
  void start(image::Simd simd, int niceness);

  void submit(const std::shared_ptr<Batch>& batch);
  void reclaim(const std::shared_ptr<Batch>& batch, std::vector<size_t> slots);
  void abandon(Batch& batch);
  // Gives up what is queued and what runs. No thread takes up a sample any more.
  void end();
  // The same, and waits for the threads, but not longer than `patience`, and not on one of them: they end when they are through.
  void stop(std::chrono::milliseconds patience);

  // Of the threads the first so many take up samples, the others rest: at once if they wait, else after the sample that
  // they are at.
  void run_on(size_t threads);
  size_t running() const;
  // That were made since the start, whatever came of them.
  uint64_t samples_made() const;

  bool is_stopping() const { return surroundings_.stopping; }

 private:
  struct Worker {
    std::thread thread;
    std::shared_ptr<Batch> running;  // null: it looks for a sample, or waits for one
    bool has_ended = false;
  };

  void work(Worker& self, Lane& lane);
  bool rests(const Worker& self) const { return static_cast<size_t>(&self - workers_.data()) >= running_; }

  Surroundings surroundings_;
  mutable std::mutex mutex_;  // guards all that follows, and the tasks of each batch
  std::condition_variable work_or_stop_;
  std::condition_variable thread_ended_;
  Queue queue_;
  std::vector<Worker> workers_;  // as many as at first, for good
  size_t living_ = 0;
  size_t running_;
  uint64_t samples_made_ = 0;
};

}  // namespace fastload::engine
