#include "bindings_recipe.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "bindings_lock.h"
#include "engine/batch.h"
#include "index/path_table.h"
#include "recipe/recipe.h"

namespace py = pybind11;
using namespace fastload;

namespace {

// See Note [torch.exp] in recipe/draw.cpp.
float ask_torch_for_exp(float value) {
  return locked([value] {
    try {
      const py::module_ torch = py::module_::import("torch");
      return torch.attr("exp")(torch.attr("tensor")(py::make_tuple(value), py::arg("dtype") = torch.attr("float32")))
          .attr("item")()
          .cast<float>();
    } catch (const py::error_already_set& error) {  // of Python's, so it must go while the lock is held
      throw std::runtime_error(error.what());
    }
  });
}

struct NamedElement {
  const char* name;
  image::Element element;
  size_t bytes;
};

constexpr NamedElement kElements[] = {
    {"uint8", image::Element::uint8, 1},     {"float32", image::Element::float32, 4},
    {"float16", image::Element::float16, 2}, {"bfloat16", image::Element::bfloat16, 2},
    {"float64", image::Element::float64, 8},
};

std::shared_ptr<engine::Target> make_target(const py::buffer& table, const std::string& element,
                                            const std::string& layout, const std::vector<float>& mean,
                                            const std::vector<float>& std_) {
  auto target = std::make_shared<engine::Target>();
  const NamedElement* named = nullptr;
  for (const NamedElement& candidate : kElements) {
    if (element == candidate.name) named = &candidate;
  }
  if (named == nullptr) throw py::value_error("unknown element type " + element);
  if (layout != "chw" && layout != "hwc") throw py::value_error("layout is chw or hwc, not " + layout);
  const py::buffer_info info = table.request();
  if (info.ndim != 2 || (info.shape[0] != 1 && info.shape[0] != 3) || info.shape[1] != 256 ||
      info.itemsize != static_cast<py::ssize_t>(named->bytes) || info.strides[1] != info.itemsize ||
      info.strides[0] != 256 * info.itemsize) {
    throw py::value_error("the table must be contiguous, [1 or 3, 256], of the element type");
  }
  const auto* first = static_cast<const uint8_t*>(info.ptr);
  target->table.assign(first, first + info.shape[0] * 256 * info.itemsize);
  target->element_bytes = named->bytes;
  target->layout = layout == "chw" ? image::Layout::chw : image::Layout::hwc;
  target->values.element = named->element;
  target->values.channels = static_cast<int32_t>(info.shape[0]);
  target->values.table = target->table.data();
  image::find_identity(&target->values);
  if (named->element == image::Element::float32) {
    const bool normalise = !mean.empty();
    if (normalise && (mean.size() != 3 || std_.size() != 3)) throw py::value_error("mean and std have three values");
    image::find_arithmetic(&target->values, normalise ? mean.data() : nullptr, normalise ? std_.data() : nullptr,
                           normalise);
  }
  return target;
}

random::Mt19937 generator_from_torch(const py::buffer& state) {
  const py::buffer_info info = state.request();
  random::Mt19937 generator;
  if (info.itemsize != 1 ||
      !generator.import_torch(static_cast<const uint8_t*>(info.ptr), static_cast<size_t>(info.size))) {
    throw py::value_error("not the state of torch's CPU generator");
  }
  return generator;
}

void bind_transforms(py::module_& module) {
  py::enum_<recipe::Kind>(module, "Kind")
      .value("random_resized_crop", recipe::Kind::random_resized_crop)
      .value("resize", recipe::Kind::resize)
      .value("center_crop", recipe::Kind::center_crop)
      .value("random_crop", recipe::Kind::random_crop)
      .value("random_horizontal_flip", recipe::Kind::random_horizontal_flip)
      .value("random_vertical_flip", recipe::Kind::random_vertical_flip)
      .value("grayscale", recipe::Kind::grayscale)
      .value("random_grayscale", recipe::Kind::random_grayscale)
      .value("pad", recipe::Kind::pad);
  py::enum_<image::Filter>(module, "Filter")
      .value("nearest", image::Filter::nearest)
      .value("box", image::Filter::box)
      .value("bilinear", image::Filter::bilinear)
      .value("hamming", image::Filter::hamming)
      .value("bicubic", image::Filter::bicubic)
      .value("lanczos", image::Filter::lanczos);
  py::enum_<image::PadMode>(module, "PadMode")
      .value("constant", image::PadMode::constant)
      .value("edge", image::PadMode::edge)
      .value("reflect", image::PadMode::reflect)
      .value("symmetric", image::PadMode::symmetric);

  py::enum_<recipe::VerticalFirst>(module, "VerticalFirst")
      .value("never", recipe::VerticalFirst::never)
      .value("very_tall", recipe::VerticalFirst::very_tall)
      .value("much_shorter", recipe::VerticalFirst::much_shorter);

  using recipe::Transform;
  const auto pair = [](double (Transform::*field)[2]) {
    return [field](Transform& t, const std::array<double, 2>& value) {
      std::memcpy(t.*field, value.data(), sizeof value);
    };
  };
  py::class_<Transform>(module, "Transform", "One geometric or grayscale transform with torchvision's parameters.")
      .def(py::init([](recipe::Kind kind) {
        Transform t;
        t.kind = kind;
        return t;
      }))
      .def_readonly("kind", &Transform::kind)
      .def_readwrite("v2", &Transform::v2)
      .def_readwrite("height", &Transform::height)
      .def_readwrite("width", &Transform::width)
      .def_readwrite("max_size", &Transform::max_size)
      .def_readwrite("filter", &Transform::filter)
      .def_readwrite("p", &Transform::p)
      .def_readwrite("padded", &Transform::padded)
      .def_readwrite("pad_if_needed", &Transform::pad_if_needed)
      .def_readwrite("pad_mode", &Transform::pad_mode)
      .def("set_scale", pair(&Transform::scale))
      .def("set_ratio", pair(&Transform::ratio))
      .def("set_log_ratio",
           [](Transform& t, float low, float high) {
             t.log_ratio[0] = low;
             t.log_ratio[1] = high;
           })
      .def("set_padding",
           [](Transform& t, const std::array<int32_t, 4>& ltrb) { std::memcpy(t.padding, ltrb.data(), sizeof ltrb); })
      .def("set_fill",
           [](Transform& t, const std::array<uint8_t, 3>& rgb) { std::memcpy(t.fill, rgb.data(), sizeof rgb); });
}

}  // namespace

void bind_recipe(py::module_& module) {
  bind_transforms(module);
  using recipe::Recipe;
  py::class_<Recipe, std::shared_ptr<Recipe>>(module, "Recipe", "Transforms in order, ready to draw from.")
      .def(py::init(
               [](std::vector<recipe::Transform> transforms, bool fused_uniform, recipe::VerticalFirst vertical_first) {
                 auto made = std::make_shared<Recipe>();
                 made->transforms = std::move(transforms);
                 made->fused_uniform = fused_uniform;
                 made->vertical_first = vertical_first;
                 made->torch_exp = ask_torch_for_exp;
                 return made;
               }),
           py::arg("transforms"), py::kw_only(), py::arg("fused_uniform"), py::arg("vertical_first"))
      .def_property_readonly(
          "draws",
          [](const Recipe& made) {
            return std::any_of(made.transforms.begin(), made.transforms.end(), [](const recipe::Transform& t) {
              return t.kind != recipe::Kind::resize && t.kind != recipe::Kind::center_crop &&
                     t.kind != recipe::Kind::grayscale;
            });
          },
          "Whether a sample may cost random numbers.")
      .def(
          "draw",
          [](const Recipe& made, random::Mt19937& generator, int32_t width, int32_t height) {
            recipe::Plan plan;
            const Status status = recipe::draw(made, generator, width, height, &plan);
            if (!status.ok()) throw py::value_error(status.message);
            const Box& w = plan.window;
            return py::make_tuple(py::make_tuple(w.x, w.y, w.width, w.height), plan.width, plan.height,
                                  plan.flip_horizontal, plan.flip_vertical);
          },
          py::arg("generator"), py::arg("width"), py::arg("height"),
          "(window (x, y, width, height), width, height, trailing flips) for an image of this size.");

  py::class_<engine::Target, std::shared_ptr<engine::Target>>(module, "Target",
                                                              "What a byte of each channel becomes, and where.")
      .def(py::init(&make_target), py::arg("table"), py::kw_only(), py::arg("element"), py::arg("layout"),
           py::arg("mean") = std::vector<float>{}, py::arg("std") = std::vector<float>{})
      .def_property_readonly("arithmetic", [](const engine::Target& t) { return t.values.use_arithmetic; })
      .def_property_readonly("channels", [](const engine::Target& t) { return t.values.channels; });

  py::class_<random::Mt19937>(module, "Mt19937", "torch's CPU generator.")
      .def(py::init<uint64_t>(), py::arg("seed"))
      .def_static("from_torch", &generator_from_torch, py::arg("state"), "From the bytes of torch.get_rng_state().")
      .def("next", &random::Mt19937::next)
      .def(
          "export_torch",
          [](const random::Mt19937& generator, const py::buffer& state) {
            const py::buffer_info info = state.request(true);
            if (info.itemsize != 1 || info.size != static_cast<py::ssize_t>(random::Mt19937::kTorchStateBytes)) {
              throw py::value_error("not the state of torch's CPU generator");
            }
            generator.export_torch(static_cast<uint8_t*>(info.ptr));
          },
          py::arg("state"), "Writes this generator into the bytes of torch.get_rng_state().");
  module.def(
      "philox_words",
      [](uint64_t seed, uint32_t epoch, uint64_t index, int count) {
        random::Philox generator(seed, epoch, index);
        std::vector<uint32_t> words;
        for (int i = 0; i < count; ++i) words.push_back(generator.next());
        return words;
      },
      py::arg("seed"), py::arg("epoch"), py::arg("index"), py::arg("count"));

  py::class_<engine::DrawOrder, std::shared_ptr<engine::DrawOrder>>(
      module, "DrawOrder", "The generator of one emulated worker, drawn from in the order of samples.")
      .def(py::init<const random::Mt19937&>(), py::arg("generator"))
      .def(
          "generator",
          [](const engine::DrawOrder& order) { return unlocked([&] { return order.generator_between_turns(); }); },
          "A copy of the generator as it is between two samples.");

  using index::PathTable;
  py::class_<PathTable, std::shared_ptr<PathTable>>(module, "PathTable", "Paths and integer targets in flat arrays.")
      .def(py::init<>())
      .def(
          "append",
          [](PathTable& table, const py::str& path, int64_t target) {
            const auto encoded = py::reinterpret_steal<py::bytes>(PyUnicode_EncodeFSDefault(path.ptr()));
            if (!encoded) throw py::error_already_set();
            table.append(static_cast<std::string_view>(encoded), target);
          },
          py::arg("path"), py::arg("target"))
      .def("shrink", &PathTable::shrink)
      .def("__reduce_ex__",  // pickle's protocols 0 and 1 would construct pybind11's own base, which aborts
           [](py::object self, int protocol) {
             return py::module_::import("builtins").attr("object").attr("__reduce_ex__")(self, std::max(protocol, 2));
           })
      .def(py::pickle(
          [](const PathTable& table) {
            py::tuple parts(PathTable::kParts);
            size_t i = 0;
            for (const std::string_view part : table.parts()) parts[i++] = py::bytes(part.data(), part.size());
            return parts;
          },
          [](const py::tuple& parts) {
            std::array<std::string_view, PathTable::kParts> views;
            if (parts.size() != views.size()) throw py::value_error("not the parts of a PathTable");
            for (size_t i = 0; i < views.size(); ++i) views[i] = parts[i].cast<std::string_view>();
            auto table = std::make_shared<PathTable>();
            if (!table->assign(views)) throw py::value_error("not the parts of a PathTable");
            return table;
          }))
      .def("__len__", &PathTable::size)
      .def(
          "path",
          [](const PathTable& table, int64_t i) {
            if (i < 0 || i >= table.size()) throw py::index_error("sample index out of range");
            const std::string path = table.path(i);
            return py::reinterpret_steal<py::str>(
                PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size())));
          },
          py::arg("i"))
      .def(
          "target",
          [](const PathTable& table, int64_t i) {
            if (i < 0 || i >= table.size()) throw py::index_error("sample index out of range");
            return table.target(i);
          },
          py::arg("i"))
      .def_property_readonly("memory_bytes", &PathTable::memory_bytes);
}
