#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings.h"
#include "bindings_adopt.h"
#include "bindings_batch.h"
#include "bindings_lock.h"
#include "bindings_names.h"
#include "engine/engine.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

// The engine's Fallback: the batch's `load(slot, why)` gives a uint8 [height, width, 3] array, or None when the sample has failed; it
// is called as `load(slot, why, encoded)` with the file's bytes where a cache has them.
Status load_in_python(const engine::Batch& batch, size_t slot, Status why, engine::Lane* lane) {
  const auto* held = static_cast<const Held*>(batch.asked.owned.get());
  if (held == nullptr) return why;
  return locked([&]() -> Status {
    if (held->load.is_none()) return why;
    const py::object encoded = as_bytes(lane->cached_bytes());
    py::tuple given = py::make_tuple(slot, code_name(why.code));
    if (!encoded.is_none()) given = py::make_tuple(slot, code_name(why.code), encoded);
    const py::object pixels = call(held->load, given);
    if (!pixels) {
      PyErr_Clear();
      return {Code::damaged, "the other decoder failed"};
    }
    if (pixels.is_none()) return why;
    if (!adopt_array(pixels, lane)) return {Code::damaged, "the other decoder gave no RGB image"};
    return {};
  });
}

// What `mix(torch's generator)` says: (which, lambda, (own, other), None, the generator behind it) or, in the place of the shares, None
// and then the box (left, top, right, bottom).
engine::Mixing mixing_of(const py::object& mix, const engine::Target& target, std::array<int32_t, 2> size,
                         random::Streams* generators) {
  using Shares = std::optional<std::array<double, 2>>;
  using Corners = std::optional<std::array<int32_t, 4>>;
  return locked([&] {
    try {
      const py::tuple drawn = mix(generators->torch);
      engine::Mixing made;
      made.which = drawn[0].cast<int32_t>();
      made.lambda = drawn[1].cast<double>();
      if (const auto shares = drawn[2].cast<Shares>()) {
        if (target.values.element != image::Element::float32) throw std::runtime_error("only float32 is mixed by shares");
        made.kind = engine::Mixing::Kind::mix_up;
        made.own = static_cast<float>((*shares)[0]);
        made.other = static_cast<float>((*shares)[1]);
      } else if (const auto corners = drawn[3].cast<Corners>()) {
        const auto [left, top, right, bottom] = *corners;
        if (left < 0 || top < 0 || right < left || bottom < top || right > size[1] || bottom > size[0])
          throw std::runtime_error("a box that is not inside the image");
        made.kind = engine::Mixing::Kind::cut_mix;
        made.box = {left, top, right - left, bottom - top};
      }
      generators->torch = drawn[4].cast<random::Mt19937>();
      return made;
    } catch (const py::error_already_set& error) {  // of Python's, so it must go while the lock is held
      throw std::runtime_error(error.what());
    }
  });
}

// The memory of a batch: its rows are samples, so [samples, …] contiguous and of the target's element is all that matters here.
uint8_t* checked_output(const py::array& out, const engine::Request& asked) {
  if (!(out.flags() & py::array::c_style) || !out.writeable() ||
      static_cast<size_t>(out.nbytes()) != asked.samples.size() * asked.sample_bytes) {
    throw py::value_error("out must be writable, contiguous memory of [samples, channels, height, width]");
  }
  return static_cast<uint8_t*>(const_cast<void*>(out.data()));
}

std::unique_ptr<PyBatch> submit(const std::shared_ptr<engine::Engine>& engine, const py::list& sources,
                                const std::vector<uint64_t>& indices, const std::shared_ptr<recipe::Recipe>& recipe,
                                const std::shared_ptr<engine::Target>& target, std::array<int32_t, 2> size,
                                const py::object& out, const std::shared_ptr<engine::DrawOrder>& order, uint64_t seed,
                                uint32_t epoch, bool stop_at_failure, int64_t max_pixels, const py::object& load,
                                engine::Defer defer, const std::shared_ptr<cache::Cache>& cache,
                                const py::object& cache_names, uint32_t cache_variant,
                                const std::shared_ptr<entries::Store>& entries, const py::object& mix,
                                const std::string& mix_stage) {
  if (!engine->running()) throw py::value_error("this engine was stopped, or belongs to the parent process");
  if (size[0] < 1 || size[1] < 1) throw py::value_error("size is (height, width), both positive");
  const std::shared_ptr<Held> held = hold(load, out, mix);
  engine::Request asked;
  asked.samples = read_sources(sources, indices, &held->pointees);
  asked.owned = held;
  asked.cache = cache;
  asked.cache_variant = cache_variant;
  asked.entries = entries;
  if (!cache_names.is_none()) read_cache_names(cache_names.cast<py::list>(), &asked.samples, &held->pointees);
  asked.recipe = recipe;
  asked.order = order;
  asked.seed = seed;
  asked.epoch = epoch;
  asked.stop_at_failure = stop_at_failure;
  asked.max_pixels = max_pixels;
  asked.target = target;
  asked.out_height = size[0];
  asked.out_width = size[1];
  asked.sample_bytes = static_cast<size_t>(target->values.channels) * static_cast<size_t>(size[0]) *
                       static_cast<size_t>(size[1]) * target->element_bytes;
  if (py::isinstance<engine::BatchMemory>(out)) {
    asked.memory = out.cast<std::shared_ptr<engine::BatchMemory>>();
  } else {
    if (defer == engine::Defer::windows) throw py::value_error("windows need a BatchMemory");
    asked.out = checked_output(out.cast<py::array>(), asked);
  }
  asked.defer = defer;
  if (!mix.is_none()) {
    if (!order || defer != engine::Defer::nothing) throw py::value_error("batches are mixed in order, and here");
    asked.mixer.stage = mix_stage;
    asked.mixer.draw = [held = held.get(), target, size](random::Streams* generators) {
      return mixing_of(held->mix, *target, size, generators);
    };
  }
  return std::make_unique<PyBatch>(engine, std::move(asked));
}

}  // namespace

void bind_engine(py::module_& module) {
  using engine::Engine;
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
      .def("submit", &submit, py::arg("sources"), py::arg("indices"), py::kw_only(), py::arg("recipe").none(false),
           py::arg("target").none(false), py::arg("size"), py::arg("out"), py::arg("order"), py::arg("seed"),
           py::arg("epoch"), py::arg("stop_at_failure"), py::arg("max_pixels"), py::arg("load"),
           py::arg("leave") = engine::Defer::nothing, py::arg("cache") = py::none(),
           py::arg("cache_names") = py::none(), py::arg("cache_variant") = 0, py::arg("entries") = py::none(),
           py::arg("mix") = py::none(), py::arg("mix_stage") = "")
      .def(
          "take_back",
          [](Engine& made, const PyBatch& batch, const std::vector<size_t>& slots) {
            if (!made.running()) throw py::value_error("this engine was stopped, or belongs to the parent process");
            batch.done();
            made.reclaim(batch.shared(), slots);  // with Python's lock: see PyBatch
          },
          py::arg("batch"), py::arg("slots"),
          "Decodes here those of the slots that the batch left to somebody else; the batch is then done once more.")
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
      .def(
          "run_on",
          [](Engine& made, int threads) {
            if (threads < 1 || threads > made.threads()) {
              throw py::value_error("an engine runs on 1 to all of its threads");
            }
            unlocked([&] { made.run_on(threads); });
          },
          py::arg("threads"),
          "So many of the threads take up samples from now on; the others rest. Batches stay the same.")
      .def_property_readonly("running_threads", &Engine::running_threads)
      .def_property_readonly("samples_made", &Engine::samples_made, "Since the start, whatever came of them.")
      .def_property_readonly("niceness", &Engine::niceness, "By how much the threads give way to others.");
}

}  // namespace fastload::bindings
