#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings.h"
#include "bindings_adopt.h"
#include "bindings_lock.h"
#include "bindings_places.h"
#include "bindings_source.h"
#include "bindings_torch_draw.h"
#include "engine/lanes.h"
#include "random/streams.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

// Waits look for signals this often, so that Ctrl-C is answered.
constexpr std::chrono::milliseconds kSignalCheck{100};

// Until what is to arrive has come.
void await(const io::Source& source) {
  if (source.kind != io::SourceKind::arrival) return;
  while (!unlocked([&] { return source.arrival->wait_for(kSignalCheck); })) {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
}

// A sample that is open on the calling thread, to be drawn and then read, once. For one thread at a time: others get an error.
class OpenSample {
 public:
  // `load(encoded)` is another decoder, as the engine's Fallback, which may raise; or None.
  OpenSample(std::shared_ptr<engine::Lanes> lanes, py::object load)
      : lanes_(std::move(lanes)), lane_(lanes_->borrow()), load_(std::move(load)) {}

  // False: the native path cannot make it.
  bool open(const py::object& object, int64_t max_pixels, std::shared_ptr<const cache::Cache> cache, std::string name,
            uint32_t variant, std::shared_ptr<const entries::Store> entries) {
    source_ = read_source(object, &pointees_);
    await(source_);
    cache_ = std::move(cache);
    entries_ = std::move(entries);
    pointees_.names = std::move(name);
    const cache::Lookup lookup = {cache_.get(), pointees_.names, variant};
    return unlocked([&] { return lane_->open(source_, max_pixels, lookup, entries_.get()).ok(); }) || load();
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
  py::object read(const engine::Target& target, Places* places) {
    Use use(this, State::drawn);
    use.after = State::over;
    if (!unlocked([&] { return lane_->decode().ok(); }) && !load()) return py::none();
    py::array out = new_sample(*lanes_, lane_->plan(), target, places);
    void* data = out.mutable_data();
    if (!unlocked([&] { return lane_->finish(target, data).ok(); })) return py::none();
    return out;
  }

  bool was_cached() const { return lane_->was_cached(); }
  std::tuple<bool, bool, bool> use_of_entries() const {
    const entries::SampleEntries& of = lane_->sample_entries();
    return {of.is_used(), of.is_made(), of.is_refused()};
  }

 private:
  // False: there is no other decoder, or it gave no image.
  bool load() {
    if (load_.is_none()) return false;
    const py::object pixels = call(load_, py::make_tuple(as_bytes(lane_->cached_bytes())));
    if (!pixels) throw py::error_already_set();
    return adopt_array(pixels, &*lane_);
  }

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
  py::object load_;
  Pointees pointees_;  // what the two below point into
  io::Source source_;
  std::shared_ptr<const cache::Cache> cache_;
  std::shared_ptr<const entries::Store> entries_;
  State state_ = State::open;
};

}  // namespace

void bind_reader(py::module_& module) {
  py::class_<OpenSample>(module, "OpenSample", "A sample that a Reader has opened: drawn once, then read once.")
      .def(
          "draw",
          [](OpenSample& sample, const std::shared_ptr<recipe::Recipe>& recipe, random::Streams& generators) {
            random::Streams own = generators;  // others may draw from them meanwhile
            const bool drawn = sample.draw(*recipe, own);
            generators = own;
            return drawn;
          },
          py::arg("recipe").none(false), py::arg("generators"), "False: a transform refuses it.")
      .def(
          "draw_from",
          [](OpenSample& sample, const std::shared_ptr<recipe::Recipe>& recipe,
             py::object generator) -> std::unique_ptr<TorchDraw> {
            auto draw = std::make_unique<TorchDraw>(std::move(generator));
            random::Streams own(draw->native());
            if (!sample.draw(*recipe, own)) return nullptr;
            draw->native() = own.torch;
            draw->keep();
            return draw;
          },
          py::arg("recipe").none(false), py::arg("generator"),
          "From torch's generator, which goes on from there. None: a transform refuses it, and nothing was drawn.")
      .def(
          "draw_indexed",
          [](OpenSample& sample, const std::shared_ptr<recipe::Recipe>& recipe, uint64_t seed, uint32_t epoch,
             uint64_t index) {
            random::Philox generator(seed, epoch, index);
            return sample.draw(*recipe, generator);
          },
          py::arg("recipe").none(false), py::arg("seed"), py::arg("epoch"), py::arg("index"))
      .def(
          "read",
          [](OpenSample& sample, const std::shared_ptr<engine::Target>& target, const std::shared_ptr<Places>& places) {
            return sample.read(*target, places.get());
          },
          py::arg("target").none(false), py::arg("places") = py::none(),
          "As an array of the target's element and layout; None: it cannot be made natively.")
      .def_property_readonly("was_cached", &OpenSample::was_cached)
      .def_property_readonly("entries", &OpenSample::use_of_entries,
                             "Whether it is decoded by entry points, whether some were kept, whether they were of no use.");
  py::class_<engine::Lanes, std::shared_ptr<engine::Lanes>>(module, "Reader",
                                                            "One sample at a time on the calling thread, whichever.")
      .def(py::init([] { return std::make_shared<engine::Lanes>(image::best_simd()); }))
      .def(
          "open",
          [](const std::shared_ptr<engine::Lanes>& lanes, const py::object& source, int64_t max_pixels,
             const std::shared_ptr<cache::Cache>& cache, const std::optional<std::string>& cache_name,
             uint32_t cache_variant, py::object load, const std::shared_ptr<entries::Store>& entries) {
            auto sample = std::make_unique<OpenSample>(lanes, std::move(load));
            if (!sample->open(source, max_pixels, cache, cache_name.value_or(""), cache_variant, entries)) sample.reset();
            return sample;
          },
          py::arg("source"), py::arg("max_pixels"), py::kw_only(), py::arg("cache") = py::none(),
          py::arg("cache_name") = py::none(), py::arg("cache_variant") = 0, py::arg("load") = py::none(),
          py::arg("entries") = py::none(), "None: it cannot be made natively, and there is no load(encoded) that gives its pixels.");
}

}  // namespace fastload::bindings
