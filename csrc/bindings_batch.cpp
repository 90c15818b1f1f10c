#include "bindings_batch.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings.h"
#include "bindings_deferred.h"
#include "bindings_lock.h"
#include "bindings_names.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

// Waits look for signals this often, so that Ctrl-C is answered.
constexpr int64_t kSignalCheckMs = 100;

const char* const kStageNames[engine::kStages] = {"read",   "header",   "turn", "draw",
                                                  "decode", "resample", "pack", "fallback"};

py::dict stage_seconds(const engine::StageTimes& times, const engine::Request& asked) {
  const std::vector<std::string>& stages = asked.recipe->stages;
  py::dict seconds;
  for (int i = 0; i < engine::kStages; ++i) seconds[kStageNames[i]] = static_cast<double>(times.ns[i]) * 1e-9;
  for (size_t i = 1; i < std::min<size_t>(stages.size(), recipe::kMostStages); ++i) {
    std::string name = stages[i];
    if (seconds.contains(name)) name += "()";  // a function that is called as a stage is
    seconds[name.c_str()] = static_cast<double>(times.of_steps[i]) * 1e-9;
  }
  if (asked.mixer.draw) seconds[asked.mixer.stage.c_str()] = static_cast<double>(times.of_mixing) * 1e-9;
  return seconds;
}

double seconds_of(std::chrono::steady_clock::time_point moment) {
  return std::chrono::duration<double>(moment.time_since_epoch()).count();
}

// Making a Python object may let go of the lock: all is read before the first.
py::list failures(const engine::Results& results) {
  std::vector<std::pair<size_t, engine::Outcome>> found;
  for (size_t slot = 0; slot < results.outcomes.size(); ++slot) {
    if (results.outcomes[slot].code != Code::ok) found.emplace_back(slot, results.outcomes[slot]);
  }
  py::list failed;
  for (const auto& [slot, outcome] : found) {
    failed.append(py::make_tuple(slot, code_name(outcome.code), outcome.message));
  }
  return failed;
}

}  // namespace

std::shared_ptr<Held> hold(py::object load, py::object out, py::object mix) {
  return {new Held{std::move(load), std::move(out), std::move(mix), Pointees()},
          [](const Held* held) { locked([held] { delete held; }); }};
}

PyBatch::PyBatch(std::shared_ptr<engine::Engine> engine, engine::Request request)
    : engine_(std::move(engine)), batch_(std::make_shared<engine::Batch>(std::move(request))) {
  unlocked([this] { engine_->submit(batch_); });
}

PyBatch::~PyBatch() {
  if (engine_->is_forked_copy()) {
    new std::shared_ptr<engine::Batch>(std::move(batch_));  // as it is: its locks may be held by threads of the parent
    return;
  }
  if (batch_->phase() == engine::Phase::done) return;
  unlocked([this] { engine_->abandon(*batch_); });
}

bool PyBatch::wait(engine::Phase phase, double timeout_s) {
  double left_ms = timeout_s * 1000;
  double stopped_ms = 0;
  for (;;) {
    const int64_t slice =
        timeout_s < 0 ? kSignalCheckMs : std::min<int64_t>(kSignalCheckMs, static_cast<int64_t>(left_ms) + 1);
    engine::Batch& batch = here();
    if (unlocked([&] { return batch.wait(phase, slice); })) return true;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    left_ms -= static_cast<double>(slice);
    if (timeout_s >= 0 && left_ms <= 0) return false;
    if (!engine_->running()) stopped_ms += static_cast<double>(slice);
    if (stopped_ms > static_cast<double>(engine::kPatience.count()))
      throw std::runtime_error("this batch does not come: its engine was stopped");
  }
}

engine::Batch& PyBatch::here() const {
  if (engine_->is_forked_copy()) throw std::runtime_error("this batch belongs to the parent process");
  return *batch_;
}

engine::Batch& PyBatch::done() const {
  engine::Batch& batch = here();
  if (batch.phase() != engine::Phase::done) throw py::value_error("the batch is not done");
  return batch;
}

engine::Batch& PyBatch::with_deferred() const {
  engine::Batch& batch = here();
  if (batch.phase() < (batch.defers_bytes() ? engine::Phase::planned : engine::Phase::done))
    throw py::value_error("it is not known yet what the batch leaves to somebody else");
  return batch;
}

void bind_batch(py::module_& module) {
  using engine::Phase;
  using Taps = py::array_t<int32_t, py::array::c_style>;
  py::enum_<engine::Defer>(module, "Leave", "What a batch leaves to somebody else.")
      .value("nothing", engine::Defer::nothing)
      .value("bytes", engine::Defer::bytes, "Files, to another decoder.")
      .value("windows", engine::Defer::windows, "What makes the pixels of windows, codes or coefficients, to whoever can make them.");
  py::class_<PyBatch>(module, "Batch", "A batch under way.")
      .def(
          "take_block", [](const PyBatch& b) { return b.done().output.release(); },
          "The id of the block that holds the images, -1 if none was needed; it is the caller's to give back.")
      .def(
          "wait", [](PyBatch& b, double timeout_s) { return b.wait(Phase::done, timeout_s); },
          py::arg("timeout_s") = -1.0, "True once done; negative: without limit.")
      .def(
          "wait_planned", [](PyBatch& b, double timeout_s) { return b.wait(Phase::planned, timeout_s); },
          py::arg("timeout_s") = -1.0, "True once deferred() may be asked; negative: without limit.")
      .def_property_readonly("done", [](const PyBatch& b) { return b.here().phase() == Phase::done; })
      .def_property_readonly(
          "remaining", [](const PyBatch& b) { return b.here().remaining(); }, "Samples that are not done.")
      .def_property_readonly(
          "finished_at", [](const PyBatch& b) { return seconds_of(b.done().finished_at()); },
          "When it was done, in seconds of time.monotonic(); read it when done.")
      .def_property_readonly(
          "failures", [](const PyBatch& b) { return failures(b.done().results); },
          "[(slot, code, message)]; read it when done.")
      .def_property_readonly(
          "generators_after", [](const PyBatch& b) { return b.done().results.generators_after; },
          "A copy of the order's generators as this batch left them; read it when done.")
      .def_property_readonly(
          "deferred_pixels", [](const PyBatch& b) { return count_pixels(b.with_deferred().results); },
          "Of the images in deferred().")
      .def_property_readonly(
          "deferred_count", [](const PyBatch& b) { return count_deferred(b.with_deferred().results); },
          "Samples of which something was left, once the batch is done.")
      .def_property_readonly("deferred_taps", [](const PyBatch& b) { return count_taps(b.with_deferred().results); })
      .def(
          "deferred",
          [](const PyBatch& b, const Taps& taps) {
            b.with_deferred();
            return deferred(b.shared(), taps);
          },
          py::arg("taps"),
          "What was left to another decoder: (samples, passes, encoded); fills `taps` (int32, deferred_taps elements).")
      .def(
          "windows", [](const PyBatch& b) { return windows(&b.done()); },
          "What was left as windows, once the batch is done; once: (slabs: [(block, used)], place of the works, bytes of scratch "
          "memory, (intervals, blocks, columns of the window, rows between the passes: the most of an image)).")
      .def_property_readonly(
          "left_samplings", [](const PyBatch& b) { return samplings_of(b.done().results); },
          "Of the samples in windows(): 10 x columns + rows of luminance for one of chroma; 0: gray; each once.")
      .def_property_readonly(
          "left_codes", [](const PyBatch& b) { return count_codes(b.done().results); },
          "Samples in windows() whose codes nobody has read yet.")
      .def_property_readonly(
          "kept", [](const PyBatch& b) { return kept_here(b.done().results); },
          "{reason: samples decoded here for it}, where something is left.")
      .def_property_readonly(
          "mixing",
          [](const PyBatch& b) {
            const engine::Mixing& mixing = b.done().results.mixing;
            return py::make_tuple(mixing.which, mixing.lambda);
          },
          "What mix() drew: (which, lambda); read it when done.")
      .def_property_readonly("fallbacks", [](const PyBatch& b) { return b.done().results.fallbacks; })
      .def_property_readonly("cached", [](const PyBatch& b) { return b.done().results.cached; },
                             "Samples that the cache had.")
      .def_property_readonly(
          "slowest",
          [](const PyBatch& b) {
            const engine::Results& results = b.done().results;
            return py::make_tuple(results.slowest, static_cast<double>(results.slowest_ns) * 1e-9,
                                  static_cast<double>(results.times.own()) * 1e-9);
          },
          "(slot of the sample that took longest, its seconds, those of all), without waits for other samples' draws.")
      .def_property_readonly("entries",
                             [](const PyBatch& b) {
                               const engine::Results& results = b.done().results;
                               return py::make_tuple(results.entered, results.noted, results.refused);
                             },
                             "Samples decoded by entry points, those of which some were kept, those whose were of no use.")
      .def_property_readonly("stage_seconds", [](const PyBatch& b) {
        const engine::Batch& batch = b.done();
        return stage_seconds(batch.results.times, batch.asked);
      });
}

}  // namespace fastload::bindings
