#include "bindings_engine.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "bindings_lock.h"
#include "engine/engine.h"
#include "engine/lane.h"
#include "engine/lanes.h"

namespace py = pybind11;
using namespace fastload;

namespace {

// Waits look for signals this often, so that Ctrl-C is answered.
constexpr int64_t kSignalCheckMs = 100;

const char* code_name(Code code) {
  switch (code) {
    case Code::ok: return "ok";
    case Code::not_found: return "not_found";
    case Code::unreadable: return "unreadable";
    case Code::empty: return "empty";
    case Code::not_native: return "not_native";
    case Code::damaged: return "damaged";
    case Code::too_large: return "too_large";
    case Code::transform: return "transform";
    case Code::cancelled: return "cancelled";
  }
  return "unknown";
}

const char* const kStageNames[engine::kStages] = {"read",   "header",   "turn", "draw",
                                                  "decode", "resample", "pack", "fallback"};

py::dict stage_seconds(const engine::StageTimes& times) {
  py::dict seconds;
  for (int i = 0; i < engine::kStages; ++i) seconds[kStageNames[i]] = static_cast<double>(times.ns[i]) * 1e-9;
  return seconds;
}

// The Python objects that a batch points into. The last sample to end may let go of them, on an engine thread.
struct Held {
  py::object load;
  py::list sources;
  py::object out;
};

std::shared_ptr<const Held> hold(py::object load, py::list sources, py::object out) {
  return {new Held{std::move(load), std::move(sources), std::move(out)},
          [](const Held* held) { locked([held] { delete held; }); }};
}

// A batch as Python holds it. What is read of it is read with Python's lock and without letting go of it, and so are its samples
// taken back: so whoever has found it done may read on.
class PyBatch {
 public:
  PyBatch(std::shared_ptr<engine::Engine> owner, std::shared_ptr<engine::Batch> made)
      : engine_(std::move(owner)), batch_(std::move(made)) {}

  // Waits for nothing: a sample may be stuck in a file system that does not answer.
  ~PyBatch() {
    if (engine_->is_forked_copy()) {
      new std::shared_ptr<engine::Batch>(
          std::move(batch_));  // left as it is: its locks may be held by threads of the parent
      return;
    }
    if (batch_->done()) return;
    unlocked([this] { engine_->abandon(*batch_); });
  }
  PyBatch(const PyBatch&) = delete;
  PyBatch& operator=(const PyBatch&) = delete;

  // `condition` of the batch: wait or wait_planned.
  bool wait(double timeout_s, bool (engine::Batch::*condition)(int64_t)) {
    double left_ms = timeout_s * 1000;
    double stopped_ms = 0;
    for (;;) {
      const int64_t slice =
          timeout_s < 0 ? kSignalCheckMs : std::min<int64_t>(kSignalCheckMs, static_cast<int64_t>(left_ms) + 1);
      engine::Batch& batch = here();
      if (unlocked([&] { return (batch.*condition)(slice); })) return true;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      left_ms -= static_cast<double>(slice);
      if (timeout_s >= 0 && left_ms <= 0) return false;
      if (!engine_->running()) stopped_ms += static_cast<double>(slice);
      if (stopped_ms > static_cast<double>(engine::kPatience.count()))
        throw std::runtime_error("this batch does not come: its engine was stopped");
    }
  }

  py::list failures() const {
    std::vector<std::pair<size_t, engine::Outcome>> found;
    const engine::Batch& batch = done();
    for (size_t slot = 0; slot < batch.outcomes.size(); ++slot) {
      if (batch.outcomes[slot].code != Code::ok) found.emplace_back(slot, batch.outcomes[slot]);
    }
    py::list failed;
    for (const auto& [slot, outcome] : found) {
      failed.append(py::make_tuple(slot, code_name(outcome.code), outcome.message));
    }
    return failed;
  }

  int take_block() {
    engine::Batch& batch = done();
    if (batch.memory) batch.out = nullptr;  // what is taken back later goes elsewhere
    return std::exchange(batch.block, engine::BatchMemory::kNone);
  }

  // In the process that made it.
  engine::Batch& here() const {
    if (engine_->is_forked_copy()) throw std::runtime_error("this batch belongs to the parent process");
    return *batch_;
  }
  engine::Batch& done() const {
    engine::Batch& batch = here();
    if (!batch.done()) throw py::value_error("the batch is not done");
    return batch;
  }
  // What was left is known.
  engine::Batch& left() const {
    engine::Batch& batch = here();
    if (!(batch.leave == engine::Leave::bytes ? batch.planned() : batch.done()))
      throw py::value_error("it is not known yet what the batch leaves to somebody else");
    return batch;
  }
  const std::shared_ptr<engine::Batch>& shared() const { return batch_; }

 private:
  std::shared_ptr<engine::Engine> engine_;
  std::shared_ptr<engine::Batch> batch_;
};

// The numbers of one deferred sample, and of each of its two passes, as rows of int32.
constexpr py::ssize_t kSampleNumbers = 8;  // slot, image width and height, window x and y, flips, sampling
constexpr py::ssize_t kPassNumbers = 6;  // vertical, lines, span, outputs, taps, where its starts lie, then its weights

const char* const kKeepNames[static_cast<int>(engine::Keep::count)] = {
    "none",      "not a plain JPEG", "progressive", "colour", "sampling",
    "cut short", "too large",        "transforms",  "scan",   "refused"};

// {reason: how many samples were decoded here for it}.
py::dict kept_here(const engine::Batch& batch) {
  int64_t counts[static_cast<int>(engine::Keep::count)] = {};
  for (const engine::Keep why : batch.kept) ++counts[static_cast<int>(why)];
  py::dict named;
  for (int why = 1; why < static_cast<int>(engine::Keep::count); ++why) {
    if (counts[why] > 0) named[kKeepNames[why]] = counts[why];
  }
  return named;
}

int64_t count_taps(const engine::Batch& batch) {
  size_t count = 0;
  for (const engine::Deferred& deferred : batch.deferred) {
    if (!deferred.pending) continue;
    for (const recipe::AxisPass& pass : deferred.passes) count += pass.starts.size() + pass.weights.size();
  }
  return static_cast<int64_t>(count);
}

int64_t count_deferred(const engine::Batch& batch) {
  return std::count_if(batch.deferred.begin(), batch.deferred.end(),
                       [](const engine::Deferred& deferred) { return deferred.pending; });
}

int64_t count_pixels(const engine::Batch& batch) {
  int64_t count = 0;
  for (const engine::Deferred& deferred : batch.deferred) {
    if (deferred.pending) count += static_cast<int64_t>(deferred.width) * deferred.height;
  }
  return count;
}

// Copies the taps behind one another and notes where; the caller holds no lock of Python's.
void write_passes(const engine::Batch& batch, const std::vector<size_t>& slots, int32_t* numbers, int32_t* taps) {
  int32_t at = 0;
  for (const size_t slot : slots) {
    for (const recipe::AxisPass& pass : batch.deferred[slot].passes) {
      const int32_t row[kPassNumbers] = {pass.vertical, pass.lines, pass.span, pass.outputs, pass.taps, at};
      std::memcpy(numbers, row, sizeof row);
      numbers += kPassNumbers;
      for (const std::vector<int32_t>* part : {&pass.starts, &pass.weights}) {
        std::memcpy(taps + at, part->data(), part->size() * sizeof(int32_t));
        at += static_cast<int32_t>(part->size());
      }
    }
  }
}

// What is known of all deferred samples, whatever was left of them.
struct DeferredRows {
  std::vector<size_t> slots;
  py::array_t<int32_t> samples;  // [n, 8]
  py::array_t<int32_t> passes;   // [n, 2, 6]

  // The taps go to `taps`.
  DeferredRows(const engine::Batch& batch, py::array_t<int32_t, py::array::c_style> taps) {
    for (size_t slot = 0; slot < batch.deferred.size(); ++slot) {
      if (batch.deferred[slot].pending) slots.push_back(slot);
    }
    if (taps.size() != count_taps(batch)) throw py::value_error("taps has not deferred_taps elements");
    const auto count = static_cast<py::ssize_t>(slots.size());
    samples = py::array_t<int32_t>({count, kSampleNumbers});
    passes = py::array_t<int32_t>({count, py::ssize_t{2}, kPassNumbers});
    int32_t* row = samples.mutable_data();
    for (const size_t slot : slots) {
      const engine::Deferred& one = batch.deferred[slot];
      const recipe::Plan& plan = one.plan;
      const int32_t numbers[kSampleNumbers] = {
          static_cast<int32_t>(slot), one.width,          one.height,  plan.window.x, plan.window.y,
          plan.flip_horizontal,       plan.flip_vertical, one.sampling};
      std::memcpy(row, numbers, sizeof numbers);
      row += kSampleNumbers;
    }
    int32_t* const numbers = passes.mutable_data();
    int32_t* const values = taps.mutable_data();
    unlocked([&] { write_passes(batch, slots, numbers, values); });
  }
};

// (samples, passes, encoded: n uint8 arrays).
py::tuple deferred(const std::shared_ptr<engine::Batch>& batch, py::array_t<int32_t, py::array::c_style> taps) {
  const DeferredRows rows(*batch, std::move(taps));
  py::list encoded;
  // Whoever holds one of the arrays holds the batch.
  const py::capsule owner(new std::shared_ptr<engine::Batch>(batch),
                          [](void* held) { delete static_cast<std::shared_ptr<engine::Batch>*>(held); });
  for (const size_t slot : rows.slots) {
    const engine::PooledBytes& bytes = batch->deferred[slot].bytes;
    encoded.append(py::array_t<uint8_t>(static_cast<py::ssize_t>(bytes.size()), bytes.data(), owner));
  }
  return py::make_tuple(rows.samples, rows.passes, encoded);
}

// The numbers of each of a deferred sample's planes: slab, offset in it, first sample's x and y, columns and rows of blocks,
// width and height of the component. Planes that a gray image lacks are zeros.
constexpr py::ssize_t kPlaneNumbers = 8;

// (samples, passes, planes: int64 [n, 3, 8], slabs: [(block, used bytes)]); the blocks are the caller's to give back.
py::tuple coefficients(engine::Batch* batch, py::array_t<int32_t, py::array::c_style> taps) {
  const DeferredRows rows(*batch, std::move(taps));
  py::array_t<int64_t> planes({static_cast<py::ssize_t>(rows.slots.size()), py::ssize_t{jpeg::kMaxPlanes}, kPlaneNumbers});
  int64_t* row = planes.mutable_data();
  for (const size_t slot : rows.slots) {
    const engine::Deferred& one = batch->deferred[slot];
    auto at = static_cast<int64_t>(one.place.offset);
    for (int i = 0; i < jpeg::kMaxPlanes; ++i, row += kPlaneNumbers) {
      int64_t numbers[kPlaneNumbers] = {};
      if (i < one.coefficients.count) {
        const jpeg::Plane& plane = one.coefficients.planes[i];
        const int64_t known[kPlaneNumbers] = {one.place.slab, at,         plane.x,     plane.y,
                                              plane.columns,  plane.rows, plane.width, plane.height};
        std::memcpy(numbers, known, sizeof numbers);
        at += static_cast<int64_t>(plane.size() * sizeof(int16_t));
      }
      std::memcpy(row, numbers, sizeof numbers);
    }
  }
  const std::vector<engine::Slabs::Slab> taken = batch->slabs.slabs();
  batch->slabs.forget();
  py::list slabs;
  for (const engine::Slabs::Slab& slab : taken) slabs.append(py::make_tuple(slab.block, slab.used));
  return py::make_tuple(rows.samples, rows.passes, planes, slabs);
}

// Pixels of any uint8 [height, width, 3] array into the lane.
bool adopt_array(const py::object& object, engine::Lane* lane) {
  const auto array = py::array_t<uint8_t, py::array::c_style | py::array::forcecast>::ensure(object);
  if (!array || array.ndim() != 3 || array.shape(2) != 3 || array.shape(0) < 1 || array.shape(1) < 1) return false;
  const Pixels pixels = lane->adopt(static_cast<int32_t>(array.shape(1)), static_cast<int32_t>(array.shape(0)));
  const uint8_t* from = array.data();
  for (int32_t y = 0; y < pixels.height; ++y) {
    uint8_t* to = pixels.row(y);
    for (int32_t x = 0; x < pixels.width; ++x, from += 3, to += 4) std::memcpy(to, from, 3);
  }
  return true;
}

// The engine's Fallback: the batch's `load(slot, why)` gives a uint8 [height, width, 3] array, or None when the sample has failed.
Status load_in_python(const engine::Batch& batch, size_t slot, Status why, engine::Lane* lane) {
  const auto* held = static_cast<const Held*>(batch.owned.get());
  if (held == nullptr) return why;
  return locked([&]() -> Status {
    if (held->load.is_none()) return why;
    const py::object pixels = call(held->load, py::make_tuple(slot, code_name(why.code)));
    if (!pixels) {
      PyErr_Clear();
      return {Code::damaged, "the other decoder failed"};
    }
    if (pixels.is_none()) return why;
    if (!adopt_array(pixels, lane)) return {Code::damaged, "the other decoder gave no RGB image"};
    return {};
  });
}

struct SourceText {
  bool has_path = false;
  size_t path_start = 0;
};

// str | (str, offset, length) | bytes-like. Paths are appended to `text`; the views are set when `text` no longer moves.
io::Source read_source(const py::handle& object, std::string* text, SourceText* where, py::list* kept) {
  io::Source source;
  const auto append_path = [&](const py::handle& path) {
    const auto encoded = py::reinterpret_steal<py::bytes>(PyUnicode_EncodeFSDefault(path.ptr()));
    if (!encoded) throw py::error_already_set();
    where->has_path = true;
    where->path_start = text->size();
    const auto characters = static_cast<std::string_view>(encoded);
    if (characters.find('\0') != std::string_view::npos) throw py::value_error("embedded null byte in a path");
    text->append(characters);
    text->push_back('\0');
  };
  if (py::isinstance<py::str>(object)) {
    append_path(object);
  } else if (py::isinstance<py::tuple>(object)) {
    const auto range = py::reinterpret_borrow<py::tuple>(object);
    if (range.size() != 3) throw py::value_error("a range is (path, offset, length)");
    append_path(range[0]);
    source.kind = io::SourceKind::range;
    source.offset = range[1].cast<int64_t>();
    source.length = range[2].cast<int64_t>();
  } else {
    const auto view = py::reinterpret_steal<py::memoryview>(PyMemoryView_FromObject(object.ptr()));
    if (!view) throw py::error_already_set();
    const Py_buffer* const buffer = PyMemoryView_GET_BUFFER(view.ptr());
    if (buffer->ndim != 1 || buffer->itemsize != 1 || PyBuffer_IsContiguous(buffer, 'C') == 0)
      throw py::value_error("a sample in memory is a flat run of bytes");
    source.kind = io::SourceKind::memory;
    source.memory = {static_cast<const uint8_t*>(buffer->buf), static_cast<size_t>(buffer->len)};
    kept->append(view);  // as long as it lives, its owner cannot move the bytes
  }
  return source;
}

void read_sources(const py::list& sources, const std::vector<uint64_t>& indices, engine::Batch* batch, py::list* kept) {
  if (sources.size() != indices.size()) throw py::value_error("one source an index");
  std::vector<SourceText> texts(indices.size());
  batch->samples.resize(indices.size());
  for (size_t slot = 0; slot < indices.size(); ++slot) {
    batch->samples[slot].source = read_source(sources[slot], &batch->path_text, &texts[slot], kept);
    batch->samples[slot].index = indices[slot];
  }
  for (size_t slot = 0; slot < indices.size(); ++slot) {
    if (texts[slot].has_path)
      batch->samples[slot].source.path = std::string_view(batch->path_text.data() + texts[slot].path_start);
  }
}

// The memory of a batch: its rows are samples, so [samples, …] contiguous and of the target's element is all that matters here.
uint8_t* checked_output(const py::array& out, const engine::Batch& batch) {
  if (!(out.flags() & py::array::c_style) || !out.writeable() ||
      static_cast<size_t>(out.nbytes()) != batch.samples.size() * batch.sample_bytes) {
    throw py::value_error("out must be writable, contiguous memory of [samples, channels, height, width]");
  }
  return static_cast<uint8_t*>(const_cast<void*>(out.data()));
}

std::unique_ptr<PyBatch> submit(const std::shared_ptr<engine::Engine>& owner, const py::list& sources,
                                const std::vector<uint64_t>& indices, const std::shared_ptr<recipe::Recipe>& recipe,
                                const std::shared_ptr<engine::Target>& target, std::array<int32_t, 2> size,
                                const py::object& out, const py::object& order, uint64_t seed, uint32_t epoch,
                                bool stop_at_failure, int64_t max_pixels, const py::object& load, engine::Leave leave) {
  if (!owner->running()) throw py::value_error("this engine was stopped, or belongs to the parent process");
  if (size[0] < 1 || size[1] < 1) throw py::value_error("size is (height, width), both positive");
  auto batch = std::make_shared<engine::Batch>();
  py::list kept;
  read_sources(sources, indices, batch.get(), &kept);
  batch->owned = hold(load, kept, out);
  batch->recipe = recipe;
  batch->target = target;
  batch->out_height = size[0];
  batch->out_width = size[1];
  batch->sample_bytes = static_cast<size_t>(target->values.channels) * static_cast<size_t>(size[0]) *
                        static_cast<size_t>(size[1]) * target->element_bytes;
  if (py::isinstance<engine::BatchMemory>(out)) {
    batch->memory = out.cast<std::shared_ptr<engine::BatchMemory>>();
  } else {
    if (leave == engine::Leave::coefficients) throw py::value_error("coefficients need a BatchMemory");
    batch->out = checked_output(out.cast<py::array>(), *batch);
  }
  batch->max_pixels = max_pixels;
  batch->stop_at_failure = stop_at_failure;
  batch->seed = seed;
  batch->epoch = epoch;
  batch->leave = leave;
  if (!order.is_none()) batch->order = order.cast<std::shared_ptr<engine::DrawOrder>>();
  unlocked([&] { owner->submit(batch); });
  return std::make_unique<PyBatch>(owner, batch);
}

// Memory from `grow(id, bytes, gone)`, which returns a uint8 array and keeps it alive, but not those that are gone.
std::shared_ptr<engine::BatchMemory> make_memory(const py::function& grow) {
  // The last reference to a Python object may go on an engine's thread.
  const std::shared_ptr<py::function> held(new py::function(grow), [](py::function* function) {
    locked([function] { delete function; });
  });
  return std::make_shared<engine::BatchMemory>([held](int id, size_t bytes, const std::vector<int>& gone) -> uint8_t* {
    return locked([&]() -> uint8_t* {
      const py::object made = call(*held, py::make_tuple(id, bytes, gone));
      if (!made || !py::isinstance<py::array_t<uint8_t>>(made)) {
        PyErr_Clear();
        return nullptr;
      }
      auto array = py::reinterpret_borrow<py::array_t<uint8_t>>(made);
      return array.nbytes() == static_cast<py::ssize_t>(bytes) ? array.mutable_data() : nullptr;
    });
  });
}

// A sample that is open on the calling thread, to be drawn and then read, once. For one thread at a time: others get an error.
class OpenSample {
 public:
  OpenSample(std::shared_ptr<engine::Lanes> lanes, py::list kept)
      : lanes_(std::move(lanes)), lane_(lanes_->borrow()), kept_(std::move(kept)) {}

  // False: the native path cannot make it.
  bool open(const io::Source& source, int64_t max_pixels) {
    return unlocked([&] { return lane_->open(source, max_pixels).ok(); });
  }

  // False: a transform refuses it.
  bool draw(const recipe::Recipe& recipe, random::Generator& generator) {
    Use use(this, State::open);
    use.after = State::over;
    const bool drawn = unlocked([&] { return lane_->draw(recipe, generator).ok(); });
    if (drawn) use.after = State::drawn;
    return drawn;
  }

  // The finished sample as an array of the target's element and layout; None: the native path cannot make it.
  py::object read(const engine::Target& target) {
    Use use(this, State::drawn);
    use.after = State::over;
    if (!unlocked([&] { return lane_->decode().ok(); })) return py::none();
    const recipe::Plan& plan = lane_->plan();
    const auto channels = static_cast<py::ssize_t>(target.values.channels);
    std::vector<py::ssize_t> shape = {plan.height, plan.width};
    shape.insert(target.layout == image::Layout::chw ? shape.begin() : shape.end(), channels);
    const char* const formats[] = {"u1", "f4", "f2", "u2", "f8"};  // bfloat16 travels as its bits
    py::array out(py::dtype(formats[static_cast<int>(target.values.element)]), shape);
    void* data = out.mutable_data();
    if (!unlocked([&] { return lane_->finish(target, data).ok(); })) return py::none();
    return out;
  }

 private:
  enum class State : uint8_t { open, drawn, over, in_use };

  // Begins and ends with Python's lock.
  struct Use {
    Use(OpenSample* used, State wanted) : sample(used), after(wanted) {
      if (used->state_ == State::in_use) throw py::value_error("another thread is at this sample");
      if (used->state_ != wanted) throw py::value_error("a sample is drawn once, then read once");
      used->state_ = State::in_use;
    }
    ~Use() { sample->state_ = after; }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    OpenSample* const sample;
    State after;
  };

  std::shared_ptr<engine::Lanes> lanes_;
  engine::Lanes::Borrowed lane_;
  py::list kept_;  // what the lane reads from, where that is memory
  State state_ = State::open;
};

}  // namespace

void bind_engine(py::module_& module) {
  using engine::Engine;
  py::enum_<engine::Leave>(module, "Leave", "What a batch leaves to somebody else.")
      .value("nothing", engine::Leave::nothing)
      .value("bytes", engine::Leave::bytes, "Files, to another decoder.")
      .value("coefficients", engine::Leave::coefficients, "What makes the pixels of windows, to whoever can make them.");
  py::class_<Engine, std::shared_ptr<Engine>>(module, "Engine",
                                              "A fixed pool of threads that turns sources into batches.")
      .def(py::init([](int threads, int niceness) {
             if (threads < 1) throw py::value_error("an engine has at least one thread");
             // The destructor waits for threads that may want Python's lock.
             return std::shared_ptr<Engine>(new Engine(threads, image::best_simd(), load_in_python, niceness),
                                            [](Engine* engine) {
                                              if (PyGILState_Check() != 0) {
                                                unlocked([engine] { delete engine; });
                                              } else {
                                                delete engine;
                                              }
                                            });
           }),
           py::arg("threads"), py::arg("niceness") = 0)
      .def("submit", &submit, py::arg("sources"), py::arg("indices"), py::kw_only(), py::arg("recipe"),
           py::arg("target"), py::arg("size"), py::arg("out"), py::arg("order"), py::arg("seed"), py::arg("epoch"),
           py::arg("stop_at_failure"), py::arg("max_pixels"), py::arg("load"), py::arg("leave") = engine::Leave::nothing)
      .def(
          "take_back",
          [](Engine& made, const PyBatch& batch, const std::vector<size_t>& slots) {
            if (!made.running()) throw py::value_error("this engine was stopped, or belongs to the parent process");
            batch.done();
            made.take_back(batch.shared(), slots);  // with Python's lock: see PyBatch
          },
          py::arg("batch"), py::arg("slots"),
          "Decodes here those of the slots that the batch left to another decoder; the batch is then done once more.")
      .def(
          "end", [](Engine& made) { unlocked([&] { made.end(); }); },
          "Cancels batches under way. The threads end when they are through with their samples.")
      .def(
          "stop",
          [](Engine& made, double patience_s) {
            const std::chrono::milliseconds patience(static_cast<int64_t>(patience_s * 1000));
            unlocked([&] { made.stop(patience); });
          },
          py::arg("patience_s") = std::chrono::duration<double>(engine::kPatience).count(),
          "The same, and waits for them, but not for one that takes longer: that is left behind.")
      .def_property_readonly("is_forked_copy", &Engine::is_forked_copy,
                             "Whether the threads belong to a parent process.")
      .def_property_readonly("threads", &Engine::threads)
      .def_property_readonly("niceness", &Engine::niceness, "By how much the threads give way to others.");
  py::class_<engine::BatchMemory, std::shared_ptr<engine::BatchMemory>>(
      module, "BatchMemory", "Blocks of memory for batches, taken when a batch is first written.")
      .def(py::init(&make_memory), py::arg("grow"))
      .def("give", &engine::BatchMemory::give, py::arg("id"), "Block `id` is nobody's again.")
      .def("forget", &engine::BatchMemory::forget, py::arg("id"), "Block `id` is the caller's for good.");
  py::class_<PyBatch>(module, "Batch", "A batch under way.")
      .def("take_block", &PyBatch::take_block,
           "The id of the block that holds the images, -1 if none was needed; it is the caller's to give back.")
      .def(
          "wait", [](PyBatch& b, double timeout_s) { return b.wait(timeout_s, &engine::Batch::wait); },
          py::arg("timeout_s") = -1.0, "True once done; negative: without limit.")
      .def(
          "wait_planned", [](PyBatch& b, double timeout_s) { return b.wait(timeout_s, &engine::Batch::wait_planned); },
          py::arg("timeout_s") = -1.0, "True once deferred() may be asked; negative: without limit.")
      .def_property_readonly("done", [](const PyBatch& b) { return b.here().done(); })
      .def_property_readonly(
          "remaining", [](const PyBatch& b) { return b.here().remaining(); }, "Samples that are not done.")
      .def_property_readonly(
          "finished_at",
          [](const PyBatch& b) {
            return std::chrono::duration<double>(b.done().finished_at().time_since_epoch()).count();
          },
          "When it was done, in seconds of time.monotonic(); read it when done.")
      .def_property_readonly("failures", &PyBatch::failures, "[(slot, code, message)]; read it when done.")
      .def_property_readonly(
          "generator_after", [](const PyBatch& b) { return b.done().generator_after; },
          "A copy of the order's generator as this batch left it; read it when done.")
      .def_property_readonly(
          "deferred_pixels", [](const PyBatch& b) { return count_pixels(b.left()); }, "Of the images in deferred().")
      .def_property_readonly(
          "deferred_count", [](const PyBatch& b) { return count_deferred(b.left()); },
          "Samples of which something was left, once the batch is done.")
      .def_property_readonly("deferred_taps", [](const PyBatch& b) { return count_taps(b.left()); })
      .def(
          "deferred",
          [](const PyBatch& b, const py::array_t<int32_t, py::array::c_style>& taps) {
            b.left();
            return deferred(b.shared(), taps);
          },
          py::arg("taps"),
          "What was left to another decoder: (samples, passes, encoded); fills `taps` (int32, deferred_taps elements).")
      .def(
          "coefficients",
          [](const PyBatch& b, const py::array_t<int32_t, py::array::c_style>& taps) {
            return coefficients(&b.done(), taps);
          },
          py::arg("taps"),
          "What was left as coefficients, once the batch is done: (samples, passes, planes, slabs); fills `taps`.")
      .def_property_readonly(
          "kept", [](const PyBatch& b) { return kept_here(b.done()); },
          "{reason: samples decoded here for it}, where something is left.")
      .def_property_readonly("fallbacks", [](const PyBatch& b) { return b.done().fallbacks; })
      .def_property_readonly("stage_seconds", [](const PyBatch& b) { return stage_seconds(b.done().times); });
  py::class_<OpenSample>(module, "OpenSample", "A sample that a Reader has opened: drawn once, then read once.")
      .def(
          "draw",
          [](OpenSample& sample, const std::shared_ptr<recipe::Recipe>& recipe, random::Mt19937& generator) {
            random::Mt19937 own = generator;  // others may draw from it meanwhile
            const bool drawn = sample.draw(*recipe, own);
            generator = own;
            return drawn;
          },
          py::arg("recipe"), py::arg("generator"), "False: a transform refuses it.")
      .def(
          "draw_indexed",
          [](OpenSample& sample, const std::shared_ptr<recipe::Recipe>& recipe, uint64_t seed, uint32_t epoch,
             uint64_t index) {
            random::Philox generator(seed, epoch, index);
            return sample.draw(*recipe, generator);
          },
          py::arg("recipe"), py::arg("seed"), py::arg("epoch"), py::arg("index"))
      .def(
          "read",
          [](OpenSample& sample, const std::shared_ptr<engine::Target>& target) { return sample.read(*target); },
          py::arg("target"), "As an array of the target's element and layout; None: it cannot be made natively.");
  py::class_<engine::Lanes, std::shared_ptr<engine::Lanes>>(module, "Reader",
                                                            "One sample at a time on the calling thread, whichever.")
      .def(py::init([] { return std::make_shared<engine::Lanes>(image::best_simd()); }))
      .def(
          "open",
          [](const std::shared_ptr<engine::Lanes>& lanes, const py::object& object, int64_t max_pixels) {
            std::string text;
            SourceText where;
            py::list kept;
            io::Source source = read_source(object, &text, &where, &kept);
            if (where.has_path) source.path = text;
            auto sample = std::make_unique<OpenSample>(lanes, kept);
            if (!sample->open(source, max_pixels)) sample.reset();
            return sample;
          },
          py::arg("source"), py::arg("max_pixels"), "None: it cannot be made natively.");
}
