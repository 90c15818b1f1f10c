#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bindings.h"
#include "bindings_lock.h"
#include "recipe/recipe.h"

namespace fastload::bindings {

namespace py = pybind11;

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

void bind_enums(py::module_& module) {
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
}

void bind_transform(py::module_& module) {
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
           }),
           py::arg("kind"))
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
      .def("set_scale", pair(&Transform::scale), py::arg("scale"))
      .def("set_ratio", pair(&Transform::ratio), py::arg("ratio"))
      .def(
          "set_log_ratio",
          [](Transform& t, float low, float high) {
            t.log_ratio[0] = low;
            t.log_ratio[1] = high;
          },
          py::arg("low"), py::arg("high"))
      .def(
          "set_padding",
          [](Transform& t, const std::array<int32_t, 4>& ltrb) { std::memcpy(t.padding, ltrb.data(), sizeof ltrb); },
          py::arg("ltrb"))
      .def(
          "set_fill",
          [](Transform& t, const std::array<uint8_t, 3>& rgb) { std::memcpy(t.fill, rgb.data(), sizeof rgb); },
          py::arg("rgb"));
}

}  // namespace

void bind_transforms(py::module_& module) {
  bind_enums(module);
  bind_transform(module);
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
}

}  // namespace fastload::bindings
