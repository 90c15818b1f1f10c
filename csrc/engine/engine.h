// engine/engine.h: a fixed pool of threads; one sample is one task on one thread. Batches of one draw order start in the order of
// submit(), and so do, as far as no thread would only wait for another's draw, all batches.
//
// The first is what makes waiting for a turn safe: whoever holds an earlier turn was started earlier. Any thread may call; in a forked
// child, where the engine's threads do not exist, what ends or stops it does nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/fallback.h"
#include "image/resample.h"

namespace fastload::engine {

class ThreadPool;

// How long the end of an engine waits for samples that run. A thread that is stuck, in a file system that does not answer, say, is
// left behind: it owns what it works on, and ends when it comes back.
constexpr std::chrono::milliseconds kPatience{2000};

class Engine {
 public:
  // The threads give way to others by `niceness` (Linux, setpriority(2); elsewhere nothing happens). std::system_error where they
  // cannot all be started; then there are none.
  Engine(int threads, image::Simd simd, Fallback fallback, int niceness = 0);
  // stop(), if that was not done. It may run on one of the engine's own threads, when a Fallback lets go of the last owner.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Once. When the engine was stopped, all samples are cancelled at once.
  void submit(const std::shared_ptr<Batch>& batch);
  // Of a batch that is done: decodes here those of the slots that are deferred. The batch is then done once more.
  void reclaim(const std::shared_ptr<Batch>& batch, std::vector<size_t> slots);
  // No further sample of the batch starts, and its draw order is closed. Samples that run go on to their end.
  void abandon(Batch& batch);
  // The same, and waits for those.
  void cancel(Batch& batch);
  // Cancels all batches under way; no thread takes up a sample any more. Waits for nothing.
  void end();
  // The same, waits for what runs, but not for ever, ends the threads. Called by one of them it waits for nothing:
  // they end when they are through.
  void stop(std::chrono::milliseconds patience = kPatience);

  int threads() const { return thread_count_; }
  // So many of the threads take up samples from now on, one at least; the others rest. Which samples are made, and what
  // of them, is the same.
  void run_on(int threads);
  int running_threads() const;
  // Samples that the threads have made since the start; 0 in a forked child.
  uint64_t samples_made() const;
  int niceness() const { return niceness_; }
  bool is_forked_copy() const;
  bool running() const;

 private:
  const int thread_count_;
  const int niceness_;
  const int pid_;
  const std::shared_ptr<ThreadPool> pool_;
};

}  // namespace fastload::engine
