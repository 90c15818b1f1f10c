#include "engine/engine.h"

#include <unistd.h>

#include <exception>
#include <utility>

#include "engine/thread_pool.h"

namespace fastload::engine {

namespace {

constexpr int64_t kWaitMs = 1000;  // for what comes, at a time

}  // namespace

Engine::Engine(int threads, image::Simd simd, Fallback fallback, int niceness)
    : thread_count_(threads),
      niceness_(niceness),
      pid_(getpid()),
      pool_(std::make_shared<ThreadPool>(std::move(fallback), static_cast<size_t>(threads))) {
  try {
    pool_->start(simd, niceness);
  } catch (const std::exception&) {
    stop();
    throw;
  }
}

Engine::~Engine() {
  if (is_forked_copy()) {
    new std::shared_ptr<ThreadPool>(pool_);  // never destroyed: its locks may be held by threads that do not exist here
  } else {
    stop();
  }
}

void Engine::submit(const std::shared_ptr<Batch>& batch) { pool_->submit(batch); }

void Engine::reclaim(const std::shared_ptr<Batch>& batch, std::vector<size_t> slots) {
  pool_->reclaim(batch, std::move(slots));
}

void Engine::abandon(Batch& batch) { pool_->abandon(batch); }

void Engine::cancel(Batch& batch) {
  abandon(batch);
  while (batch.phase() != Phase::made && !batch.wait(Phase::done, kWaitMs)) {
  }
}

void Engine::end() {
  if (!is_forked_copy()) pool_->end();
}

void Engine::stop(std::chrono::milliseconds patience) {
  if (!is_forked_copy()) pool_->stop(patience);
}

void Engine::run_on(int threads) {
  if (!is_forked_copy()) pool_->run_on(static_cast<size_t>(threads));
}

int Engine::running_threads() const { return is_forked_copy() ? 0 : static_cast<int>(pool_->running()); }

uint64_t Engine::samples_made() const { return is_forked_copy() ? 0 : pool_->samples_made(); }

bool Engine::running() const { return !is_forked_copy() && !pool_->is_stopping(); }

bool Engine::is_forked_copy() const { return getpid() != pid_; }

}  // namespace fastload::engine
