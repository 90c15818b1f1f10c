#include "engine/engine.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <new>
#include <string>
#include <system_error>

namespace fastload::engine {

namespace {

// Buffers grow inside the stages, and a stage that throws must not take the sample's turn with it, nor its thread.
template <typename StageFn>
Status without_throwing(StageFn stage) {
  try {
    return stage();
  } catch (const std::bad_alloc&) {
    return {Code::too_large, "out of memory"};
  } catch (const std::exception&) {
    return {Code::transform, "an error that has no name"};
  }
}

bool fits(const Batch& batch, const Lane& lane) {
  return lane.plan().width == batch.out_width && lane.plan().height == batch.out_height;
}

// Another decoder must not run out of them.
bool leaves_files(const Batch& batch) { return batch.leave == Leave::bytes; }

// This thread; Linux has a niceness for each.
void be_nice([[maybe_unused]] int niceness) {
#ifdef __linux__
  if (niceness > 0) setpriority(PRIO_PROCESS, 0, niceness);
#endif
}

// Signals are for the threads that a program has made, which may wait for them; what is a fault of this thread stays its own.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF}) sigdelset(&all, own);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// The pool whose thread this is; null: nobody's.
thread_local const void* pool_of_this_thread = nullptr;

}  // namespace

struct Task {
  std::shared_ptr<Batch> batch;
  size_t slot = 0;
  bool taken_back = false;
};

// What the threads work on. They own it together with the engine, which may end before one of them does.
struct Engine::Pool {
  Pool(Fallback fallback, size_t threads) : fallback(std::move(fallback)), running(threads), ended(threads) {}

  void work(size_t thread, Lane& lane);
  // Gives up what is queued and what runs. No thread takes up a sample any more.
  void end();
  void abandon(Batch& batch);
  // All of the batch's samples that have not started are over. With the lock.
  static void cancel_rest(Batch& batch);
  // With the lock: what a thread should do next; no batch: nothing.
  Task next();
  void run(const Task& task, Lane& lane);
  Status run_stages(Batch& batch, size_t slot, Lane& lane);
  // Opens, draws, and decides who decodes.
  Status plan(Batch& batch, size_t slot, Lane& lane, bool* left);
  Status decode_deferred(Batch& batch, size_t slot, Lane& lane);
  static Status finish(Batch& batch, size_t slot, Lane& lane);
  // Whether the drawn sample, or what makes its pixels, is left to somebody else; notes why, if not.
  bool leaves(Batch& batch, size_t slot, Lane& lane) const;
  // Of a sample that was planned, what is to be done here.
  Status make(Batch& batch, size_t slot, Lane& lane, bool left);
  static Status draw(Batch& batch, size_t slot, Status opened, Lane& lane);
  Status fall_back(Batch& batch, size_t slot, Status why, Lane& lane);
  static void finish_samples(Batch& batch, size_t count);
  static void finish_plan(Batch& batch);

  const Fallback fallback;
  std::mutex mutex;  // guards all that follows; nobody who holds it waits for Python's lock
  std::condition_variable work_or_stop;
  std::condition_variable thread_ended;
  std::deque<std::shared_ptr<Batch>> queue;  // batches with samples that have not started
  size_t leaving = 0;                        // of them, those that leave files to another decoder
  uint64_t searches = 0;                     // of next()
  std::atomic<bool> stopping{false};         // read without the lock, too
  const std::shared_ptr<BytePool> bytes = std::make_shared<BytePool>();
  std::vector<std::thread> threads;
  std::vector<std::shared_ptr<Batch>> running;  // by thread, as the next; null: it looks for a sample, or waits for one
  std::vector<char> ended;
  size_t living = 0;
};

Engine::Engine(int threads, image::Simd simd, Fallback fallback, int niceness)
    : thread_count_(threads),
      niceness_(niceness),
      pid_(getpid()),
      pool_(std::make_shared<Pool>(std::move(fallback), static_cast<size_t>(threads))) {
  pool_->threads.reserve(static_cast<size_t>(threads));
  const SignalsBlocked inherited;
  try {
    for (size_t i = 0; i < static_cast<size_t>(threads); ++i) {
      auto start = [pool = pool_, niceness, i, lane = std::make_unique<Lane>(simd)] {
        be_nice(niceness);
        pool->work(i, *lane);
      };
      const std::lock_guard<std::mutex> lock(pool_->mutex);
      pool_->threads.emplace_back(std::move(start));
      ++pool_->living;
      pthread_setname_np(pool_->threads.back().native_handle(), "fastload");
    }
  } catch (const std::exception&) {
    const std::string started = std::to_string(pool_->threads.size());
    stop();
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                            "only " + started + " of " + std::to_string(threads) + " threads could be started");
  }
}

Engine::~Engine() {
  if (is_forked_copy()) {
    new std::shared_ptr<Pool>(pool_);  // never destroyed: its locks may be held by threads that do not exist here
  } else {
    stop();
  }
}

void Engine::end() {
  if (!is_forked_copy()) pool_->end();
}

void Engine::stop(std::chrono::milliseconds patience) {
  if (is_forked_copy()) return;
  pool_->end();
  std::unique_lock<std::mutex> lock(pool_->mutex);
  // A thread cannot wait for itself, nor for those that wait for its turn to pass.
  if (pool_of_this_thread != pool_.get()) {
    pool_->thread_ended.wait_for(lock, patience, [&] { return pool_->living == 0; });
  }
  for (size_t i = 0; i < pool_->threads.size(); ++i) {
    pool_->ended[i] ? pool_->threads[i].join() : pool_->threads[i].detach();  // who has ended wants the lock no more
  }
  pool_->threads.clear();
}

bool Engine::running() const {
  return !is_forked_copy() && !pool_->stopping;
}

bool Engine::is_forked_copy() const { return getpid() != pid_; }

void Engine::submit(const std::shared_ptr<Batch>& batch) {
  const size_t count = batch->samples.size();
  batch->outcomes.assign(count, Outcome{});
  batch->remaining_ = count;
  if (batch->leave != Leave::nothing) {
    batch->unplanned_ = count;
    batch->deferred.resize(count);
    batch->kept.assign(count, Keep::none);
  }
  if (count == 0) return;
  {
    const std::lock_guard<std::mutex> lock(pool_->mutex);
    if (pool_->stopping) {
      batch->cancelled_ = true;
      if (batch->order) batch->order->close();
      Pool::cancel_rest(*batch);
      return;
    }
    pool_->queue.push_back(batch);
    pool_->leaving += leaves_files(*batch);
    // Turns are in the order of the queue, whoever submits at the same time.
    if (batch->order) batch->first_turn = batch->order->reserve(count);
  }
  pool_->work_or_stop.notify_all();
}

void Engine::take_back(const std::shared_ptr<Batch>& batch, std::vector<size_t> slots) {
  if (!leaves_files(*batch)) return;
  const auto is_here = [&](size_t slot) { return slot >= batch->deferred.size() || !batch->deferred[slot].pending; };
  slots.erase(std::remove_if(slots.begin(), slots.end(), is_here), slots.end());
  if (slots.empty()) return;
  {
    const std::lock_guard<std::mutex> lock(pool_->mutex);
    pool_->queue.push_front(batch);  // nobody waits for a turn in it, and its consumer waits already
    ++pool_->leaving;
    for (const size_t slot : slots) batch->deferred[slot].pending = false;
    {
      const std::lock_guard<std::mutex> batch_lock(batch->mutex_);
      batch->remaining_ = slots.size();
    }
    batch->again_ = std::move(slots);
    batch->started_ = 0;
    if (pool_->stopping) {
      pool_->queue.pop_front();
      --pool_->leaving;
      Pool::cancel_rest(*batch);
    }
  }
  pool_->work_or_stop.notify_all();
}

void Engine::abandon(Batch& batch) { pool_->abandon(batch); }

void Engine::Pool::abandon(Batch& batch) {
  batch.cancelled_ = true;
  if (batch.order) batch.order->close();
  std::shared_ptr<Batch> keep;  // the caller's reference may be the queue's
  const std::lock_guard<std::mutex> lock(mutex);
  const auto entry = std::find_if(queue.begin(), queue.end(),
                                  [&](const std::shared_ptr<Batch>& other) { return other.get() == &batch; });
  if (entry != queue.end()) {
    keep = *entry;
    queue.erase(entry);
    leaving -= leaves_files(batch);
    cancel_rest(batch);
  }
}

void Engine::Pool::end() {
  const auto next_to_give_up = [this](size_t* thread) -> std::shared_ptr<Batch> {
    const std::lock_guard<std::mutex> lock(mutex);
    stopping = true;
    if (!queue.empty()) return queue.front();
    while (*thread < running.size()) {
      if (const auto& batch = running[(*thread)++]) return batch;
    }
    return nullptr;
  };
  size_t thread = 0;
  while (const std::shared_ptr<Batch> batch = next_to_give_up(&thread)) abandon(*batch);
  work_or_stop.notify_all();
}

void Engine::Pool::cancel_rest(Batch& batch) {
  const size_t dropped = batch.tasks() - batch.started_;
  {
    const std::lock_guard<std::mutex> lock(batch.mutex_);
    for (size_t task = batch.started_; task < batch.tasks(); ++task)
      batch.outcomes[batch.slot_of(task)].code = Code::cancelled;
  }
  batch.started_ = batch.tasks();
  finish_samples(batch, dropped);
}

void Engine::cancel(Batch& batch) {
  abandon(batch);
  std::unique_lock<std::mutex> lock(batch.mutex_);
  batch.finished_.wait(lock, [&] { return batch.remaining_ == 0; });
}

void Engine::Pool::finish_samples(Batch& batch, size_t count) {
  const std::lock_guard<std::mutex> lock(batch.mutex_);
  batch.remaining_ -= count;
  if (batch.remaining_ > 0) return;
  batch.finished_at_ = std::chrono::steady_clock::now();
  batch.finished_.notify_all();  // under the lock: a waiter that sees zero may destroy the batch at once
}

// A sample of the first batch that leaves files to another decoder; then, of the first batch. But
// rather of a batch in whose order no thread is on its way to its turn, and of each order only of its first batch: whoever waits for
// a turn waits for samples that have a thread.
Task Engine::Pool::next() {
  if (queue.empty()) return {};
  ++searches;
  auto entry = queue.end();
  for (auto one = queue.begin(); one != queue.end(); ++one) {
    if ((*one)->draws_in_turn()) {
      DrawOrder& order = *(*one)->order;
      if (order.seen_by_search == searches) continue;
      order.seen_by_search = searches;
      if (order.is_anyone_coming()) continue;
    }
    if (entry == queue.end()) entry = one;
    if (leaves_files(**one)) entry = one;
    if (leaving == 0 || leaves_files(**one)) break;
  }
  if (entry == queue.end()) entry = queue.begin();
  const Task task = {*entry, (*entry)->slot_of((*entry)->started_++), !(*entry)->again_.empty()};
  Batch& batch = *task.batch;
  if (batch.draws_in_turn()) batch.order->come();
  if (batch.started_ == batch.tasks()) {
    queue.erase(entry);
    leaving -= leaves_files(batch);
  }
  return task;
}

void Engine::Pool::work(size_t thread, Lane& lane) {
  pool_of_this_thread = this;
  std::unique_lock<std::mutex> lock(mutex);
  while (!stopping) {
    const Task task = next();
    std::shared_ptr<Batch> before = std::move(running[thread]);  // its end may be here: not with the lock
    running[thread] = task.batch;
    if (task.batch == nullptr && before == nullptr) {
      work_or_stop.wait(lock);
      continue;
    }
    lock.unlock();
    before.reset();
    if (task.batch != nullptr) run(task, lane);
    lock.lock();
  }
  std::shared_ptr<Batch> before = std::move(running[thread]);
  lock.unlock();
  before.reset();
  lock.lock();
  ended[thread] = 1;
  --living;
  thread_ended.notify_all();
}

void Engine::Pool::run(const Task& task, Lane& lane) {
  Batch& batch = *task.batch;
  lane.times() = StageTimes{};
  Status status;
  if (task.taken_back) {
    status = decode_deferred(batch, task.slot, lane);
  } else {
    status = run_stages(batch, task.slot, lane);
  }
  lane.settle();
  {
    const std::lock_guard<std::mutex> lock(batch.mutex_);
    for (int stage = 0; stage < kStages; ++stage) batch.times.ns[stage] += lane.times().ns[stage];
    if (!status.ok()) {
      Outcome& outcome = batch.outcomes[task.slot];
      outcome.code = status.code;
      try {
        outcome.message = status.message;
      } catch (const std::bad_alloc&) {  // then it has none
      }
    }
  }
  finish_samples(batch, 1);
}

Status Engine::Pool::fall_back(Batch& batch, size_t slot, Status why, Lane& lane) {
  if (!fallback || batch.cancelled_) return why;
  if (stopping) return {Code::cancelled, "cancelled"};
  const StageClock clock(&lane.times(), Stage::fallback);
  {
    const std::lock_guard<std::mutex> lock(batch.mutex_);
    ++batch.fallbacks;
  }
  return without_throwing([&] { return fallback(batch, slot, why, &lane); });
}

// Draws in the sample's turn. A sample that failed passes its turn on, and in a batch that stops at failures all later ones do.
Status Engine::Pool::draw(Batch& batch, size_t slot, Status opened, Lane& lane) {
  if (!batch.order) {
    if (!opened.ok()) return opened;
    random::Philox generator(batch.seed, batch.epoch, batch.samples[slot].index);
    return without_throwing([&] { return lane.draw(*batch.recipe, generator); });
  }
  bool open = false;
  {
    const StageClock clock(&lane.times(), Stage::turn);
    open = batch.order->enter(batch.first_turn + slot);
  }
  if (!open) return {Code::cancelled, "cancelled"};
  Status status = opened;
  if (batch.stop_at_failure && batch.failed_) {
    status = {Code::cancelled, "an earlier sample of the batch failed"};
  } else if (status.ok()) {
    status = without_throwing([&] { return lane.draw(*batch.recipe, batch.order->generator()); });
  }
  if (!status.ok()) batch.failed_ = true;
  if (slot + 1 == batch.samples.size()) batch.generator_after = batch.order->generator();
  batch.order->leave();
  return status;
}

bool Engine::Pool::leaves(Batch& batch, size_t slot, Lane& lane) const {
  Deferred& deferred = batch.deferred[slot];
  const Keep why = leaves_files(batch) ? lane.leave_bytes(bytes, &deferred)
                                       : lane.leave_coefficients(batch.memory.get(), &batch.slabs, &deferred);
  batch.kept[slot] = why;
  return why == Keep::none;
}

Status Engine::Pool::finish(Batch& batch, size_t slot, Lane& lane) {
  return without_throwing([&]() -> Status {
    uint8_t* out = batch.output();
    if (out == nullptr) return {Code::too_large, "no memory for the batch"};
    return lane.finish(*batch.target, out + slot * batch.sample_bytes);
  });
}

Status Engine::Pool::decode_deferred(Batch& batch, size_t slot, Lane& lane) {
  if (batch.cancelled_) return {Code::cancelled, "cancelled"};
  const Deferred& deferred = batch.deferred[slot];
  batch.kept[slot] = Keep::refused;
  io::Source source;
  source.kind = io::SourceKind::memory;
  source.memory = {deferred.bytes.data(), deferred.bytes.size()};
  Status status = without_throwing([&] { return lane.open(source, batch.max_pixels); });
  if (!status.ok()) status = fall_back(batch, slot, status, lane);
  if (!status.ok()) return status;
  lane.use(deferred.plan);
  status = without_throwing([&] { return lane.decode(); });
  if (!status.ok()) status = fall_back(batch, slot, status, lane);
  return status.ok() ? finish(batch, slot, lane) : status;
}

void Engine::Pool::finish_plan(Batch& batch) {
  if (batch.leave == Leave::nothing) return;
  const std::lock_guard<std::mutex> lock(batch.mutex_);
  if (--batch.unplanned_ == 0) batch.finished_.notify_all();
}

Status Engine::Pool::plan(Batch& batch, size_t slot, Lane& lane, bool* left) {
  Status status = {Code::cancelled, "cancelled"};
  if (!batch.cancelled_ && !(batch.stop_at_failure && batch.failed_)) {
    status = without_throwing([&] { return lane.open(batch.samples[slot].source, batch.max_pixels); });
    if (!status.ok()) status = fall_back(batch, slot, status, lane);
  }
  status = draw(batch, slot, status, lane);
  if (!status.ok() || batch.leave == Leave::nothing || !fits(batch, lane)) return status;
  return without_throwing([&]() -> Status {
    *left = leaves(batch, slot, lane);
    return {};
  });
}

Status Engine::Pool::make(Batch& batch, size_t slot, Lane& lane, bool left) {
  if (left && leaves_files(batch)) return {};
  Status status = without_throwing([&] { return left ? lane.read_coefficients(batch.deferred[slot]) : lane.decode(); });
  if (status.ok() && left) {
    batch.deferred[slot].pending = true;
    return {};
  }
  if (!status.ok()) {
    if (left) batch.kept[slot] = Keep::not_plain;
    status = fall_back(batch, slot, status, lane);
    if (!status.ok()) batch.failed_ = true;
    if (!status.ok()) return status;
  }
  if (!fits(batch, lane)) return {Code::transform, "the transforms give another size than the batch has"};
  return finish(batch, slot, lane);
}

Status Engine::Pool::run_stages(Batch& batch, size_t slot, Lane& lane) {
  bool left = false;
  const Status status = plan(batch, slot, lane, &left);
  finish_plan(batch);
  return status.ok() ? make(batch, slot, lane, left) : status;
}

}  // namespace fastload::engine
