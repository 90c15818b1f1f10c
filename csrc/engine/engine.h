// engine/engine.h: a fixed pool of threads; one sample is one task on one thread. Batches of one draw order start in the order of
// submit(), and so do, as far as no thread would only wait for another's draw, all batches.
//
// The first is what makes waiting for a turn safe: whoever holds an earlier turn was started earlier.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "engine/batch.h"

namespace fastload::engine {

// Asked for the pixels of a sample that the native path could not open or decode. It either adopts the whole image into the
// lane and returns ok, or returns why the sample has failed. Called on an engine thread, one call a sample.
using Fallback = std::function<Status(const Batch& batch, size_t slot, Status why, Lane* lane)>;

class Engine {
 public:
  // The threads give way to others by `niceness` (Linux, setpriority(2); elsewhere nothing happens).
  Engine(int threads, image::Simd simd, Fallback fallback, int niceness = 0);
  // stop(), if that was not done. It may run on one of the engine's own threads, when a Fallback lets go of the last owner.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void submit(const std::shared_ptr<Batch>& batch);  // only while running()
  // Of a batch that is done: decodes here those of the slots whose files were left. The batch is then done once more.
  // Only while running().
  void take_back(const std::shared_ptr<Batch>& batch, std::vector<size_t> slots);
  // No further sample of the batch starts, and its draw order is closed. Samples that run go on to their end.
  void abandon(Batch& batch);
  // The same, and waits for those.
  void cancel(Batch& batch);
  // Cancels what is queued, waits for what runs, ends the threads. Called by one of them it waits for nothing: they end when
  // they are through. In a forked child, where they do not exist, does nothing.
  void stop();

  int threads() const { return thread_count_; }
  int niceness() const { return niceness_; }
  bool is_forked_copy() const;
  bool running() const;

 private:
  struct Pool;

  const int thread_count_;
  const int niceness_;
  const int pid_;
  const std::shared_ptr<Pool> pool_;
};

}  // namespace fastload::engine
