#include "engine/stages.h"

#include <chrono>
#include <exception>
#include <new>

#include "image/mixed_samples.h"

namespace fastload::engine {

namespace {

constexpr Status kCancelled = {Code::cancelled, "cancelled"};

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

// One sample on one thread.
class Run {
 public:
  Run(const Surroundings& surroundings, const Task& task, Lane* lane)
      : surroundings_(surroundings), task_(task), batch_(*task.batch), asked_(batch_.asked), lane_(*lane) {}

  Status make() {
    const Status status = plan();
    batch_.end_plan();
    if (!status.ok()) return status;
    return is_deferred_ ? make_deferred() : make_here();
  }

  // What was deferred, by the plan that it has.
  Status make_reclaimed() {
    if (batch_.cancelled) return kCancelled;
    Deferred& deferred = batch_.results.deferred[task_.slot];
    batch_.results.kept[task_.slot] = Keep::refused;
    Status status;
    if (batch_.defers_bytes()) {
      io::Source source;
      source.kind = io::SourceKind::memory;
      source.memory = {deferred.bytes.data(), deferred.bytes.size()};
      status = open(source);
    } else {
      status = open(asked_.samples[task_.slot].source, lookup());
      if (deferred.has_codes) batch_.count_entries_as_refused();
    }
    if (status.ok()) status = lane_.use(deferred.plan);
    if (status.ok()) status = decode();
    return status.ok() ? finish() : status;
  }

 private:
  // Opens, draws, and decides who decodes.
  Status plan() {
    Status status = kCancelled;
    if (!batch_.cancelled && !(asked_.stop_at_failure && batch_.failed)) {
      // Another decoder takes whole files.
      const entries::Store* const entries = asked_.defer == Defer::bytes ? nullptr : asked_.entries.get();
      status = open(asked_.samples[task_.slot].source, lookup(), entries);
      if (lane_.was_cached()) batch_.count_cached();
    }
    status = asked_.order ? draw_in_turn(status) : draw_by_index(status);
    if (!status.ok() || asked_.defer == Defer::nothing || !fits()) return status;
    return without_throwing([&] { return defer(); });
  }

  Status open(const io::Source& source, const cache::Lookup& lookup = {}, const entries::Store* entries = nullptr) {
    const bool defers = asked_.defer == Defer::windows;
    const Status status = without_throwing([&] { return lane_.open(source, asked_.max_pixels, lookup, entries, defers); });
    return status.ok() ? status : fall_back(status);
  }

  cache::Lookup lookup() const {
    return {asked_.cache.get(), asked_.samples[task_.slot].cache_name, asked_.cache_variant};
  }

  Status draw_by_index(Status opened) {
    if (!opened.ok()) return opened;
    random::Philox generator(asked_.seed, asked_.epoch, asked_.samples[task_.slot].index);
    return without_throwing([&] { return lane_.draw(*asked_.recipe, generator); });
  }

  // A sample that failed passes its turn on, and in a batch that stops at failures all later ones do.
  Status draw_in_turn(Status opened) {
    DrawOrder& order = *asked_.order;
    bool is_open = false;
    {
      const StageClock clock(&lane_.times(), Stage::turn);
      is_open = order.begin_turn(task_.turn);
    }
    if (!is_open) return kCancelled;
    Status status = opened;
    if (asked_.stop_at_failure && batch_.failed) {
      status = {Code::cancelled, "an earlier sample of the batch failed"};
    } else if (status.ok()) {
      status = without_throwing([&] { return lane_.draw(*asked_.recipe, order.generators()); });
    }
    if (!status.ok()) batch_.failed = true;
    if (task_.slot + 1 == asked_.samples.size()) {
      if (status.ok() && asked_.mixer.draw) status = draw_mixing(&order.generators());
      batch_.results.generators_after = order.generators();
    }
    order.end_turn();
    return status;
  }

  Status draw_mixing(random::Streams* generators) {
    const StageClock clock(&lane_.times(), Stage::draw);
    const Status status = without_throwing([&]() -> Status {
      batch_.results.mixing = asked_.mixer.draw(generators);
      return {};
    });
    if (!status.ok()) batch_.failed = true;
    return status;
  }

  bool fits() const { return lane_.plan().width == asked_.out_width && lane_.plan().height == asked_.out_height; }

  // Defers the drawn sample, or notes why it cannot be.
  Status defer() {
    Deferred* const deferred = &batch_.results.deferred[task_.slot];
    Keep* const why = &batch_.results.kept[task_.slot];
    const Status status = batch_.defers_bytes()
                              ? lane_.defer_bytes(surroundings_.bytes, deferred, why)
                              : lane_.defer_window(&batch_.slabs, &batch_.works, task_.slot, deferred, why);
    is_deferred_ = status.ok() && *why == Keep::none;
    if (is_deferred_ && batch_.defers_bytes()) deferred->pending = true;
    return status;
  }

  // What is still to be done here of a sample that is deferred.
  Status make_deferred() {
    if (batch_.defers_bytes()) return {};
    Deferred& deferred = batch_.results.deferred[task_.slot];
    const Status status = without_throwing([&] { return lane_.read_window(deferred); });
    deferred.pending = status.ok();
    if (status.ok()) return {};
    batch_.works.of(task_.slot).way = device::kElsewhere;
    batch_.results.kept[task_.slot] = Keep::not_plain;
    if (lane_.sample_entries().is_used()) return make_here();
    const Status answer = fall_back(status);
    if (!answer.ok()) batch_.failed = true;
    return answer.ok() ? finish() : answer;
  }

  Status make_here() {
    const Status status = decode();
    if (!status.ok()) batch_.failed = true;
    if (!status.ok()) return status;
    if (!fits()) return {Code::transform, "the transforms give another size than the batch has"};
    return finish();
  }

  Status decode() {
    const Status status = without_throwing([&] { return lane_.decode(); });
    return status.ok() ? status : fall_back(status);
  }

  Status finish() {
    return without_throwing([&]() -> Status {
      uint8_t* out = batch_.output.data();
      if (out == nullptr) return {Code::too_large, "no memory for the batch"};
      return lane_.finish(*asked_.target, out + task_.slot * asked_.sample_bytes);
    });
  }

  Status fall_back(Status why) {
    if (!surroundings_.fallback || batch_.cancelled) return why;
    if (surroundings_.stopping) return kCancelled;
    const StageClock clock(&lane_.times(), Stage::fallback);
    batch_.count_fallback();
    return without_throwing([&] { return surroundings_.fallback(batch_, task_.slot, why, &lane_); });
  }

  const Surroundings& surroundings_;
  const Task& task_;
  Batch& batch_;
  const Request& asked_;
  Lane& lane_;
  bool is_deferred_ = false;
};

// All samples are there.
Status mix(Batch* batch) {
  const Request& asked = batch->asked;
  const Mixing& mixing = batch->results.mixing;
  const image::FinishedBatch finished = {batch->output.data(), asked.samples.size(), asked.target->values.channels,
                                         asked.out_height,     asked.out_width,      asked.target->element_bytes,
                                         asked.target->layout};
  if (finished.data == nullptr) return {Code::too_large, "no memory for the batch"};
  Buffer last;
  if (mixing.kind == Mixing::Kind::mix_up) {
    image::mix_up(finished, mixing.own, mixing.other, &last);
  } else {
    image::cut_mix(finished, mixing.box, &last);
  }
  return {};
}

}  // namespace

void run_stages(const Surroundings& surroundings, const Task& task, Lane* lane) {
  lane->times() = StageTimes{};
  Run run(surroundings, task, lane);
  Status status = task.is_reclaimed ? run.make_reclaimed() : run.make();
  if (task.batch->asked.mixer.draw && task.batch->is_to_be_mixed(status)) {
    const auto began = std::chrono::steady_clock::now();
    status = without_throwing([&] { return mix(task.batch.get()); });
    lane->times().of_mixing += std::chrono::nanoseconds(std::chrono::steady_clock::now() - began).count();
  }
  const entries::SampleEntries& entries = lane->sample_entries();
  if (!task.is_reclaimed) task.batch->count_entries(entries.is_used(), entries.is_made(), entries.is_refused());
  lane->settle();
  task.batch->end_sample(task.slot, status, lane->times());
}

}  // namespace fastload::engine
