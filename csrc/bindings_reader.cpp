#include <pybind11/numpy.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "bindings.h"
#include "bindings_lock.h"
#include "bindings_names.h"
#include "bindings_source.h"
#include "engine/lanes.h"

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
  OpenSample(std::shared_ptr<engine::Lanes> lanes, py::list memory)
      : lanes_(std::move(lanes)), lane_(lanes_->borrow()), memory_(std::move(memory)) {}

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
    py::array out(dtype_of(target.values.element), shape);
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
  py::list memory_;  // what the lane reads from, where it is not a file
  State state_ = State::open;
};

}  // namespace

void bind_reader(py::module_& module) {
  py::class_<OpenSample>(module, "OpenSample", "A sample that a Reader has opened: drawn once, then read once.")
      .def(
          "draw",
          [](OpenSample& sample, const std::shared_ptr<recipe::Recipe>& recipe, random::Mt19937& generator) {
            random::Mt19937 own = generator;  // others may draw from it meanwhile
            const bool drawn = sample.draw(*recipe, own);
            generator = own;
            return drawn;
          },
          py::arg("recipe").none(false), py::arg("generator"), "False: a transform refuses it.")
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
          [](OpenSample& sample, const std::shared_ptr<engine::Target>& target) { return sample.read(*target); },
          py::arg("target").none(false),
          "As an array of the target's element and layout; None: it cannot be made natively.");
  py::class_<engine::Lanes, std::shared_ptr<engine::Lanes>>(module, "Reader",
                                                            "One sample at a time on the calling thread, whichever.")
      .def(py::init([] { return std::make_shared<engine::Lanes>(image::best_simd()); }))
      .def(
          "open",
          [](const std::shared_ptr<engine::Lanes>& lanes, const py::object& object, int64_t max_pixels) {
            Pointees pointees;
            const io::Source source = read_source(object, &pointees);
            await(source);
            auto sample = std::make_unique<OpenSample>(lanes, pointees.memory);
            if (!sample->open(source, max_pixels)) sample.reset();
            return sample;
          },
          py::arg("source"), py::arg("max_pixels"), "None: it cannot be made natively.");
}

}  // namespace fastload::bindings
