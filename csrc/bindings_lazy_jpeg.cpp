#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings.h"
#include "bindings_lock.h"
#include "bindings_places.h"
#include "bindings_torch_draw.h"
#include "engine/lanes.h"
#include "image/compact.h"
#include "io/open_file.h"
#include "random/streams.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

// (kind, (x, y, width, height) or None, filter or None, radius across and down or None, change of colour or None, part of the image
// that is resized, (left, top, right, bottom), or None)
using Step = std::tuple<recipe::StepKind, std::optional<std::array<int32_t, 4>>, std::optional<image::Filter>,
                        std::optional<std::array<float, 2>>, std::optional<image::Recolour>,
                        std::optional<std::array<float, 4>>>;

std::vector<recipe::Noted> noted(const std::vector<Step>& steps) {
  std::vector<recipe::Noted> all;
  all.reserve(steps.size());
  for (const auto& [kind, box, filter, radius, recolour, part] : steps) {
    recipe::Noted one;
    one.kind = kind;
    if (box) one.box = {(*box)[0], (*box)[1], (*box)[2], (*box)[3]};
    if (filter) one.filter = *filter;
    if (recolour) one.recolour = *recolour;
    if (part) one.part = {(*part)[0], (*part)[1], (*part)[2], (*part)[3]};
    if (radius) one.box_blur = {(*radius)[0], (*radius)[1]};
    all.push_back(one);
  }
  return all;
}

// Every byte itself, in rows of `channels` bytes a pixel.
const engine::Target& as_it_is(int32_t channels) {
  static const auto make = [](int32_t count) {
    engine::Target target;
    for (int i = 0; i < 256 * count; ++i) target.table.push_back(static_cast<uint8_t>(i));
    target.layout = image::Layout::hwc;
    target.element_bytes = 1;
    target.values.element = image::Element::uint8;
    target.values.channels = count;
    return target;
  };
  static engine::Target* const targets = [] {
    auto* const two = new engine::Target[2]{make(1), make(3)};
    for (int i = 0; i < 2; ++i) {
      two[i].values.table = two[i].table.data();
      image::find_identity(&two[i].values);
    }
    return two;
  }();
  return targets[channels == 1 ? 0 : 1];
}

// The smallest box that holds both.
Box around(const Box& one, const Box& other) {
  const int32_t x = std::min(one.x, other.x);
  const int32_t y = std::min(one.y, other.y);
  return {x, y, std::max(one.x + one.width, other.x + other.width) - x, std::max(one.y + one.height, other.y + other.height) - y};
}

// Pixels of a whole image, read by any thread.
struct Whole {
  std::vector<uint8_t> bytes;
  image::Compact image;
};

// The bytes of a JPEG that Pillow is sure to accept. Every method is for any thread, with Python's lock, which it lets go of.
class LazyJpeg {
 public:
  // Null: it is none.
  static std::unique_ptr<LazyJpeg> of(py::bytes data, int64_t max_pixels) {
    auto made = std::make_unique<LazyJpeg>(std::move(data));
    const ByteSpan bytes = made->bytes();
    const bool is_one = unlocked([&] {
      jpeg::Session session;
      return session.open(bytes, max_pixels, &made->header_).ok() && made->header_.ends_well;
    });
    if (!is_one) made.reset();
    return made;
  }

  explicit LazyJpeg(py::bytes data) : data_(std::move(data)) {}

  int32_t width() const { return header_.width; }
  int32_t height() const { return header_.height; }
  bool is_gray() const { return header_.sampling == 0; }
  bool has_pixels() const { return whole_ != nullptr; }

  // From now on they are there and not decoded again; as many bytes as the image has pixels and channels. False: it cannot be decoded.
  bool keep_pixels(engine::Lanes& lanes) {
    if (whole_) return true;
    auto whole = std::make_shared<Whole>();
    whole->image = {nullptr, width(), height(), is_gray() ? 1 : 3};
    const bool is_whole = make(lanes, {}, [&](engine::Lane* lane) {
      whole->bytes.resize(whole->image.size() + 1);
      return lane->finish(as_it_is(whole->image.channels), whole->bytes.data());
    });
    whole->image.data = whole->bytes.data();
    if (is_whole) whole_ = std::move(whole);
    return is_whole;
  }

  // The finished pixels by a plan; None: they cannot be decoded.
  py::object values(engine::Lanes& lanes, const recipe::Plan& plan, const engine::Target& target, Places* places) {
    py::array out = new_sample(lanes, plan, target, places);
    void* const data = out.mutable_data();
    if (!make(lanes, plan, [&](engine::Lane* lane) { return lane->finish(target, data); })) return py::none();
    return out;
  }

  // The same by several plans, of pixels that are decoded once.
  py::object values_of_each(engine::Lanes& lanes, const std::vector<const recipe::Plan*>& plans,
                            const std::vector<std::shared_ptr<engine::Target>>& targets, Places* places) {
    recipe::Plan together = all();
    together.window = plans.empty() ? together.window : plans.front()->window;
    for (const recipe::Plan* const plan : plans) together.window = around(together.window, plan->window);
    py::list made;
    std::vector<void*> memory;
    for (size_t i = 0; i < plans.size(); ++i) {
      py::array out = new_sample(lanes, *plans[i], *targets[i], places);
      memory.push_back(out.mutable_data());
      made.append(std::move(out));
    }
    const bool is_made = make(lanes, together, [&](engine::Lane* lane) {
      Status status;
      for (size_t i = 0; i < plans.size() && status.ok(); ++i) status = lane->finish_another(*plans[i], *targets[i], memory[i]);
      return status;
    });
    return is_made ? py::object(made) : py::none();
  }

  py::object rgbx(engine::Lanes& lanes, const recipe::Plan& plan, uint8_t fourth) {
    py::array out = new_array(lanes, py::dtype::of<uint8_t>(), {plan.height, plan.width, 4}, nullptr);
    auto* const data = static_cast<uint8_t*>(out.mutable_data());
    if (!make(lanes, plan, [&](engine::Lane* lane) { return lane->finish_rgbx(fourth, data); })) return py::none();
    return out;
  }

  py::object packed(engine::Lanes& lanes, const recipe::Plan& plan, int32_t channels) {
    const engine::Target& target = as_it_is(channels);
    const py::ssize_t size = py::ssize_t{plan.height} * plan.width * target.values.channels;
    const auto out = py::reinterpret_steal<py::object>(PyBytes_FromStringAndSize(nullptr, size));
    if (!out) throw py::error_already_set();
    void* const data = PyBytes_AS_STRING(out.ptr());  // nobody else has it yet
    if (!make(lanes, plan, [&](engine::Lane* lane) { return lane->finish(target, data); })) return py::none();
    return out;
  }

 private:
  ByteSpan bytes() const {
    const std::string_view view = data_;
    return {reinterpret_cast<const uint8_t*>(view.data()), view.size()};
  }

  // Without a plan: all of the image. The caller holds the lanes.
  template <typename FinishFn>
  bool make(engine::Lanes& lanes, const std::optional<recipe::Plan>& plan, FinishFn finish) {
    const std::shared_ptr<const Whole> whole = whole_;
    io::Source source;
    source.kind = io::SourceKind::memory;
    source.memory = bytes();
    return unlocked([&] {
      const engine::Lanes::Borrowed lane = lanes.borrow();
      Status status = whole ? lane->open(whole->image) : lane->open(source, 0);
      if (status.ok()) status = lane->use(plan ? *plan : all());
      if (status.ok()) status = lane->decode();
      return status.ok() && finish(lane.get()).ok();
    });
  }

  recipe::Plan all() const {
    recipe::Plan plan;
    plan.image_width = plan.width = width();
    plan.image_height = plan.height = height();
    plan.window = {0, 0, width(), height()};
    return plan;
  }

  const py::bytes data_;
  jpeg::Header header_;
  std::shared_ptr<const Whole> whole_;
};

// All of a regular file of up to so many bytes, wherever it stands; None: it is none.
py::object read_file(int descriptor, size_t most) {
  struct stat info = {};
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size <= 0) return py::none();
  const auto size = static_cast<size_t>(info.st_size);
  if (size > most) return py::none();
  auto data = py::reinterpret_steal<py::object>(PyBytes_FromStringAndSize(nullptr, info.st_size));
  if (!data) throw py::error_already_set();
  auto* const to = reinterpret_cast<uint8_t*>(PyBytes_AS_STRING(data.ptr()));  // nobody else has it yet
  if (!unlocked([&] { return io::read_at(descriptor, 0, size, to); })) return py::none();
  return data;
}

}  // namespace

void bind_lazy_jpeg(py::module_& module) {
  using recipe::Plan;
  using recipe::StepKind;
  using Reader = std::shared_ptr<engine::Lanes>;
  const auto kReader = py::arg("reader").none(false);
  module.def("read_file", &read_file, py::arg("descriptor"), py::arg("most"),
             "All of a regular file of up to so many bytes, wherever it stands; None: it is none.");
  py::enum_<StepKind>(module, "StepKind")
      .value("crop", StepKind::crop)
      .value("resize", StepKind::resize)
      .value("flip_horizontal", StepKind::flip_horizontal)
      .value("flip_vertical", StepKind::flip_vertical)
      .value("transpose", StepKind::transpose)
      .value("grayscale", StepKind::grayscale)
      .value("box_blur", StepKind::box_blur)
      .value("recolour", StepKind::recolour);
  py::class_<Plan>(module, "Plan", "What is to be done to an image: which window of it is decoded, and what follows.")
      .def_readonly("width", &Plan::width)
      .def_readonly("height", &Plan::height);
  py::class_<LazyJpeg>(module, "LazyJpeg", "The bytes of a JPEG that Pillow is sure to accept.")
      .def_static("of", &LazyJpeg::of, py::arg("data"), py::arg("max_pixels"),
                  "None: these are none, or have more pixels (0: no limit).")
      .def_property_readonly("width", &LazyJpeg::width)
      .def_property_readonly("height", &LazyJpeg::height)
      .def_property_readonly("is_gray", &LazyJpeg::is_gray)
      .def_property_readonly("has_pixels", &LazyJpeg::has_pixels)
      .def(
          "keep_pixels", [](LazyJpeg& jpeg, const Reader& reader) { return jpeg.keep_pixels(*reader); }, kReader, "Decodes all of them, once. False: that cannot be done.")
      .def(
          "draw",
          [](const LazyJpeg& jpeg, const std::vector<Step>& steps, const std::shared_ptr<recipe::Recipe>& recipe,
             random::Streams& generators) -> std::unique_ptr<Plan> {
            random::Streams own = generators;  // others may draw from them meanwhile
            auto plan = std::make_unique<Plan>();
            const auto before = noted(steps);
            const bool drawn = unlocked(
                [&] { return recipe::draw(*recipe, own, jpeg.width(), jpeg.height(), plan.get(), before).ok(); });
            generators = own;
            if (!drawn) plan.reset();
            return plan;
          },
          py::arg("steps"), py::arg("recipe").none(false), py::arg("generators"),
          "Of steps (kind, (x, y, width, height) | None, filter | None), then the recipe. None: one of them refuses.")
      .def(
          "draw_from",
          [](const LazyJpeg& jpeg, const std::vector<Step>& steps, const std::shared_ptr<recipe::Recipe>& recipe,
             py::object generator) -> py::object {
            auto draw = std::make_unique<TorchDraw>(std::move(generator));
            auto plan = std::make_unique<Plan>();
            const auto before = noted(steps);
            random::Streams own(draw->native());
            if (!unlocked([&] { return recipe::draw(*recipe, own, jpeg.width(), jpeg.height(), plan.get(), before).ok(); })) {
              return py::none();
            }
            draw->native() = own.torch;
            draw->keep();
            return py::make_tuple(std::move(plan), std::move(draw));
          },
          py::arg("steps"), py::arg("recipe").none(false), py::arg("generator"),
          "The same from torch's generator, which goes on from there: the plan, and what undoes it. None: then nothing was drawn.")
      .def(
          "values",
          [](LazyJpeg& jpeg, const Reader& reader, const Plan& plan, const std::shared_ptr<engine::Target>& target,
             const std::shared_ptr<Places>& places) { return jpeg.values(*reader, plan, *target, places.get()); },
          kReader, py::arg("plan"), py::arg("target").none(false), py::arg("places") = py::none(),
          "In the target's element and layout; None: damaged.")
      .def(
          "draw_each",
          [](const LazyJpeg& jpeg, const std::vector<Step>& steps, const std::vector<std::shared_ptr<recipe::Recipe>>& recipes,
             random::Streams& generators) -> std::optional<std::vector<std::unique_ptr<Plan>>> {
            random::Streams own = generators;  // others may draw from them meanwhile
            const auto before = noted(steps);
            std::vector<std::unique_ptr<Plan>> plans(recipes.size());
            const bool drawn = unlocked([&] {
              for (size_t i = 0; i < recipes.size(); ++i) {
                plans[i] = std::make_unique<Plan>();
                if (!recipe::draw(*recipes[i], own, jpeg.width(), jpeg.height(), plans[i].get(), before).ok()) return false;
              }
              return true;
            });
            generators = own;
            return drawn ? std::optional(std::move(plans)) : std::nullopt;
          },
          py::arg("steps"), py::arg("recipes"), py::arg("generators"), "draw() of one recipe after the other, each of the image itself.")
      .def(
          "values_of_each",
          [](LazyJpeg& jpeg, const Reader& reader, const std::vector<const Plan*>& plans,
             const std::vector<std::shared_ptr<engine::Target>>& targets, const std::shared_ptr<Places>& places) {
            const auto is_none = [](const auto& one) { return one == nullptr; };
            if (plans.size() != targets.size() || std::any_of(plans.begin(), plans.end(), is_none) ||
                std::any_of(targets.begin(), targets.end(), is_none)) {
              throw py::value_error("a target for each plan");
            }
            return jpeg.values_of_each(*reader, plans, targets, places.get());
          },
          kReader, py::arg("plans"), py::arg("targets"), py::arg("places") = py::none(), "values() by each of the plans; None: damaged.")
      .def(
          "rgbx",
          [](LazyJpeg& jpeg, const Reader& reader, const Plan& plan, uint8_t fourth) {
            return jpeg.rgbx(*reader, plan, fourth);
          },
          kReader, py::arg("plan"), py::arg("fourth"),
           "uint8 [height, width, 4], the last byte of each pixel as given; None: damaged.")
      .def(
          "packed",
          [](LazyJpeg& jpeg, const Reader& reader, const Plan& plan, int32_t channels) {
            return jpeg.packed(*reader, plan, channels);
          },
          kReader, py::arg("plan"), py::arg("channels"),
           "The bytes of 3 channels, or of the first; None: damaged.");
}

}  // namespace fastload::bindings
