#include "engine/engine.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <new>

namespace fastload::engine {

namespace {

// Buffers grow inside the stages, and a stage that throws must not take the sample's turn with it.
template <typename StageFn>
Status without_throwing(StageFn stage) {
  try {
    return stage();
  } catch (const std::bad_alloc&) {
    return {Code::too_large, "out of memory"};
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

}  // namespace

struct Task {
  std::shared_ptr<Batch> batch;
  size_t slot = 0;
  bool taken_back = false;
};

// What the threads work on. They own it together with the engine, which may end before one of them does.
struct Engine::Pool {
  Pool(image::Simd simd, Fallback fallback) : simd(simd), fallback(std::move(fallback)) {}

  void work();
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

  const image::Simd simd;
  const Fallback fallback;
  std::mutex mutex;
  std::condition_variable work_or_stop;
  std::deque<std::shared_ptr<Batch>> queue;  // batches with samples that have not started
  size_t leaving = 0;                        // of them, those that leave files to another decoder
  uint64_t searches = 0;                     // of next()
  bool stopping = false;
  const std::shared_ptr<BytePool> bytes = std::make_shared<BytePool>();
  std::vector<std::thread> threads;
};

Engine::Engine(int threads, image::Simd simd, Fallback fallback, int niceness)
    : thread_count_(threads),
      niceness_(niceness),
      pid_(getpid()),
      pool_(std::make_shared<Pool>(simd, std::move(fallback))) {
  pool_->threads.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    pool_->threads.emplace_back([pool = pool_, niceness] {
      be_nice(niceness);
      pool->work();
    });
    pthread_setname_np(pool_->threads.back().native_handle(), "fastload");
  }
}

Engine::~Engine() {
  if (is_forked_copy()) {
    new std::shared_ptr<Pool>(pool_);  // never destroyed: its locks may be held by threads that do not exist here
  } else {
    stop();
  }
}

void Engine::stop() {
  if (is_forked_copy()) return;
  std::deque<std::shared_ptr<Batch>> queue;
  std::vector<std::thread> threads;
  {
    const std::lock_guard<std::mutex> lock(pool_->mutex);
    pool_->stopping = true;
    queue = pool_->queue;
    threads.swap(pool_->threads);
  }
  pool_->work_or_stop.notify_all();
  for (const auto& batch : queue) abandon(*batch);
  // A thread cannot wait for itself, nor for those that wait for its turn to pass.
  const bool by_own_thread = std::any_of(threads.begin(), threads.end(), [](const std::thread& thread) {
    return thread.get_id() == std::this_thread::get_id();
  });
  for (std::thread& thread : threads) by_own_thread ? thread.detach() : thread.join();
}

bool Engine::running() const {
  if (is_forked_copy()) return false;
  const std::lock_guard<std::mutex> lock(pool_->mutex);
  return !pool_->stopping;
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
  if (batch->order) batch->first_turn = batch->order->reserve(count);
  if (count == 0) return;
  {
    const std::lock_guard<std::mutex> lock(pool_->mutex);
    pool_->queue.push_back(batch);
    pool_->leaving += leaves_files(*batch);
  }
  pool_->work_or_stop.notify_all();
}

void Engine::take_back(const std::shared_ptr<Batch>& batch, std::vector<size_t> slots) {
  if (!leaves_files(*batch)) return;
  const auto is_here = [&](size_t slot) { return slot >= batch->deferred.size() || !batch->deferred[slot].pending; };
  slots.erase(std::remove_if(slots.begin(), slots.end(), is_here), slots.end());
  if (slots.empty()) return;
  {
    const std::lock_guard<std::mutex> lock(batch->mutex_);
    batch->remaining_ = slots.size();
  }
  {
    const std::lock_guard<std::mutex> lock(pool_->mutex);
    for (const size_t slot : slots) batch->deferred[slot].pending = false;
    batch->again_ = std::move(slots);
    batch->started_ = 0;
    pool_->queue.push_front(batch);  // nobody waits for a turn in it, and its consumer waits already
    ++pool_->leaving;
  }
  pool_->work_or_stop.notify_all();
}

void Engine::abandon(Batch& batch) {
  batch.cancelled_ = true;
  if (batch.order) batch.order->close();
  std::shared_ptr<Batch> keep;  // the caller's reference may be the queue's
  const std::lock_guard<std::mutex> lock(pool_->mutex);
  auto& queue = pool_->queue;
  const auto entry = std::find_if(queue.begin(), queue.end(),
                                  [&](const std::shared_ptr<Batch>& other) { return other.get() == &batch; });
  if (entry != queue.end()) {
    for (size_t task = batch.started_; task < batch.tasks(); ++task)
      batch.outcomes[batch.slot_of(task)].code = Code::cancelled;
    const size_t dropped = batch.tasks() - batch.started_;
    batch.started_ = batch.tasks();
    keep = *entry;
    queue.erase(entry);
    pool_->leaving -= leaves_files(batch);
    Pool::finish_samples(batch, dropped);
  }
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

void Engine::Pool::work() {
  Lane lane(simd);
  for (;;) {
    Task task;
    {
      std::unique_lock<std::mutex> lock(mutex);
      work_or_stop.wait(lock, [&] {
        if (!stopping) task = next();
        return stopping || task.batch != nullptr;
      });
      if (stopping) return;
    }
    run(task, lane);
  }
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
  {
    const std::lock_guard<std::mutex> lock(batch.mutex_);
    for (int stage = 0; stage < kStages; ++stage) batch.times.ns[stage] += lane.times().ns[stage];
    if (!status.ok()) batch.outcomes[task.slot] = {status.code, status.message};
  }
  finish_samples(batch, 1);
}

Status Engine::Pool::fall_back(Batch& batch, size_t slot, Status why, Lane& lane) {
  if (!fallback || batch.cancelled_) return why;
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
    return lane.draw(*batch.recipe, generator);
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
    status = lane.draw(*batch.recipe, batch.order->generator());
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
    lane.finish(*batch.target, out + slot * batch.sample_bytes);
    return {};
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
