#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "bindings.h"
#include "recipe/policy.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

using recipe::Effect;
using recipe::Operation;
using recipe::Policy;

Effect of(Effect::Kind kind, double x, double y) {
  Effect made;
  made.kind = kind;
  made.x = x;
  made.y = y;
  return made;
}

Operation make_operation(std::vector<Effect> effects, bool is_signed, int32_t magnitudes, float p) {
  const size_t count = static_cast<size_t>(std::max(magnitudes, 1)) * (is_signed ? 2 : 1);
  if (effects.size() != count) throw py::value_error("an effect for each magnitude and sign");
  return {p, is_signed, magnitudes, std::move(effects)};
}

std::shared_ptr<Policy> make_policy(std::vector<std::vector<Operation>> choices, bool v2, bool is_auto, int32_t count,
                                    image::Filter filter, const std::array<uint8_t, 3>& fill) {
  auto made = std::make_shared<Policy>();
  if (choices.empty()) throw py::value_error("nothing to choose from");
  for (const auto& choice : choices) {
    if (is_auto && !v2 && choice.size() > 2) throw py::value_error("more operations than are drawn for");
  }
  made->choices = std::move(choices);
  made->v2 = v2;
  made->is_auto = is_auto;
  made->count = count;
  made->filter = filter;
  std::memcpy(made->fill, fill.data(), sizeof made->fill);
  return made;
}

}  // namespace

void bind_policies(py::module_& module) {
  py::class_<Effect>(module, "Effect", "An operation of a policy at one strength.")
      .def_static("nothing", [] { return Effect(); })
      .def_static(
          "recolour",
          [](const image::Recolour& recolour) {
            Effect made = of(Effect::Kind::recolour, 0, 0);
            made.recolour = recolour;
            return made;
          },
          py::arg("recolour"))
      .def_static(
          "shear", [](double x, double y) { return of(Effect::Kind::shear, x, y); }, py::arg("x"), py::arg("y"),
          "By degrees, about the first pixel's corner.")
      .def_static(
          "translate", [](double x, double y) { return of(Effect::Kind::translate, x, y); }, py::arg("x"), py::arg("y"))
      .def_static(
          "rotate", [](double angle) { return of(Effect::Kind::rotate, angle, 0); }, py::arg("angle"), "By degrees.")
      .def_static(
          "spread",
          [](bool is_vertical, bool is_negative, double times, double divisor, int32_t bins, int32_t bin) {
            if (bins < 1 || bin < 0 || bin >= bins) throw py::value_error("bin is one of the bins");
            Effect made = of(Effect::Kind::spread, 0, 0);
            made.is_vertical = is_vertical;
            made.is_negative = is_negative;
            made.times = times;
            made.divisor = divisor;
            made.bins = bins;
            made.bin = bin;
            return made;
          },
          py::kw_only(), py::arg("is_vertical"), py::arg("is_negative"), py::arg("times"), py::arg("divisor"),
          py::arg("bins"), py::arg("bin"));
  py::class_<Operation>(module, "Operation", "An operation of a policy.")
      .def(py::init(&make_operation), py::arg("effects"), py::kw_only(), py::arg("is_signed"), py::arg("magnitudes"),
           py::arg("p") = 1.0f,
           "`effects`: of each magnitude, and behind it of the negative one; `magnitudes`: how many one is drawn of, "
           "0: none is drawn.");
  py::class_<Policy, std::shared_ptr<Policy>>(module, "Policy", "AutoAugment, RandAugment or TrivialAugmentWide.")
      .def(py::init(&make_policy), py::arg("choices"), py::kw_only(), py::arg("v2"), py::arg("is_auto"),
           py::arg("count"), py::arg("filter"), py::arg("fill"),
           "`choices`: operations, one after the other; `is_auto`: each with its probability.");
}

}  // namespace fastload::bindings
