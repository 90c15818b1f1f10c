#include <pybind11/stl.h>

#include <array>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "bindings.h"
#include "recipe/timm.h"

namespace fastload::bindings {

namespace py = pybind11;

void bind_timm(py::module_& module) {
  using recipe::Augment;
  using recipe::AugmentPolicy;
  py::enum_<Augment::Kind>(module, "AugmentKind")
      .value("autocontrast", Augment::Kind::autocontrast)
      .value("equalize", Augment::Kind::equalize)
      .value("invert", Augment::Kind::invert)
      .value("posterize", Augment::Kind::posterize)
      .value("solarize", Augment::Kind::solarize)
      .value("solarize_add", Augment::Kind::solarize_add)
      .value("color", Augment::Kind::color)
      .value("contrast", Augment::Kind::contrast)
      .value("brightness", Augment::Kind::brightness)
      .value("sharpness", Augment::Kind::sharpness)
      .value("desaturate", Augment::Kind::desaturate)
      .value("gaussian_blur", Augment::Kind::gaussian_blur)
      .value("gaussian_blur_rand", Augment::Kind::gaussian_blur_rand)
      .value("rotate", Augment::Kind::rotate)
      .value("shear_x", Augment::Kind::shear_x)
      .value("shear_y", Augment::Kind::shear_y)
      .value("translate_x", Augment::Kind::translate_x)
      .value("translate_y", Augment::Kind::translate_y)
      .value("translate_x_rel", Augment::Kind::translate_x_rel)
      .value("translate_y_rel", Augment::Kind::translate_y_rel);
  py::class_<Augment>(module, "Augment", "One AugmentOp of timm.")
      .def(py::init([](Augment::Kind kind) {
             Augment made;
             made.kind = kind;
             made.filters = {image::Filter::bicubic};
             return made;
           }),
           py::arg("kind"))
      .def_readonly("kind", &Augment::kind)
      .def_readwrite("is_increasing", &Augment::is_increasing)
      .def_readwrite("is_original", &Augment::is_original)
      .def_readwrite("p", &Augment::p)
      .def_readwrite("magnitude", &Augment::magnitude)
      .def_readwrite("std", &Augment::std)
      .def_readwrite("most_magnitude", &Augment::most_magnitude)
      .def_readwrite("reach", &Augment::reach)
      .def_readwrite("least_bits", &Augment::least_bits)
      .def_readwrite("least", &Augment::least)
      .def_readwrite("most", &Augment::most)
      .def(
          "set_filters",
          [](Augment& op, const std::vector<image::Filter>& filters, bool draws) {
            if (filters.empty()) throw py::value_error("no filter");
            op.filters = filters;
            op.draws_filter = draws;
          },
          py::arg("filters"), py::arg("draws"))
      .def(
          "set_fill", [](Augment& op, const std::array<uint8_t, 3>& rgb) { std::memcpy(op.fill, rgb.data(), sizeof op.fill); },
          py::arg("rgb"));
  py::class_<AugmentPolicy, std::shared_ptr<AugmentPolicy>>(module, "AugmentPolicy", "timm's RandAugment or AutoAugment.")
      .def(py::init([](std::vector<std::vector<Augment>> choices, int32_t layers, std::vector<double> p, bool is_auto) {
             for (const auto& choice : choices) {
               if (choice.empty() || (!is_auto && choice.size() != 1)) throw py::value_error("a choice of another number of operations");
             }
             if (choices.empty() || (!p.empty() && p.size() != choices.size()) || layers < 0) throw py::value_error("other numbers of choices");
             return std::make_shared<AugmentPolicy>(AugmentPolicy{is_auto, layers, std::move(p), std::move(choices)});
           }),
           py::arg("choices"), py::kw_only(), py::arg("layers") = 1, py::arg("p") = std::vector<double>(), py::arg("is_auto") = false);
  py::reinterpret_borrow<py::class_<recipe::Transform>>(module.attr("Transform"))
      .def(
          "set_augments", [](recipe::Transform& t, const std::shared_ptr<AugmentPolicy>& policy) { t.augments = policy; },
          py::arg("policy").none(false))
      .def_readwrite("is_plain", &recipe::Transform::is_plain)
      .def(
          "set_rectangles",
          [](recipe::Transform& t, int32_t least, int32_t most) {
            if (least > most) throw py::value_error("no number of rectangles");
            t.least_rectangles = least;
            t.most_rectangles = most;
          },
          py::arg("least"), py::arg("most"), "How many timm's RandomErasing erases.");
}

}  // namespace fastload::bindings
