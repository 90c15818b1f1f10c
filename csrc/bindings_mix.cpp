#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings.h"
#include "recipe/aug_mix.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

using image::TensorChange;
using image::TensorOp;
using recipe::AugMix;
using recipe::MixOperation;

using Effects = std::vector<std::shared_ptr<TensorOp>>;

std::shared_ptr<TensorOp> of(TensorChange change, float ratio, float rest) {
  auto made = std::make_shared<TensorOp>();
  made->change = change;
  made->ratio = ratio;
  made->rest = rest;
  return made;
}

MixOperation make_operation(const Effects& effects, bool is_signed, int32_t magnitudes) {
  if (effects.size() != static_cast<size_t>(std::max(magnitudes, 1)) * (is_signed ? 2 : 1)) {
    throw py::value_error("an effect for each magnitude and sign");
  }
  return {is_signed, magnitudes, {effects.begin(), effects.end()}};
}

std::shared_ptr<AugMix> make(std::vector<MixOperation> operations, std::array<int32_t, 2> size, bool is_gray, bool is_fused,
                             bool is_nearest, double alpha, int32_t chains, int32_t depth) {
  if (operations.empty() || chains < 0) throw py::value_error("nothing to choose from");
  auto made = std::make_shared<AugMix>();
  *made = {size[1], size[0], is_gray, {is_fused, is_nearest}, alpha, chains, depth, std::move(operations)};
  return made;
}

using Bytes = py::array_t<uint8_t, py::array::c_style>;

// Of [height, width, 3]: what one operation makes of it.
Bytes apply(const Bytes& given, const TensorOp& operation, bool is_gray, bool is_fused, bool is_nearest, bool is_scalar) {
  if (given.ndim() != 3 || given.shape(2) != 3) throw py::value_error("[height, width, 3]");
  const auto height = static_cast<int32_t>(given.shape(0)), width = static_cast<int32_t>(given.shape(1));
  const ptrdiff_t count = static_cast<ptrdiff_t>(width) * height;
  std::vector<uint8_t> memory(4 * static_cast<size_t>(count) + kPixelSlack);
  for (ptrdiff_t i = 0; i < count; ++i) std::memcpy(memory.data() + 4 * i, given.data() + 3 * i, 3);
  image::Mixer mixer(is_scalar ? image::Simd::scalar : image::best_simd());
  mixer.run(operation, is_gray, {is_fused, is_nearest}, {memory.data(), width, height, 4 * static_cast<ptrdiff_t>(width)});
  Bytes made({given.shape(0), given.shape(1), given.shape(2)});
  for (ptrdiff_t i = 0; i < count; ++i) std::memcpy(made.mutable_data() + 3 * i, memory.data() + 4 * i, 3);
  return made;
}

}  // namespace

void bind_mix(py::module_& module) {
  py::class_<TensorOp, std::shared_ptr<TensorOp>>(module, "TensorOp", "An operation on a tensor of bytes at one strength.")
      .def_static(
          "table",
          [](const std::array<uint8_t, 256>& table) {
            auto made = of(TensorChange::table, 1, 0);
            made->table = table;
            return made;
          },
          py::arg("table"))
      .def_static("autocontrast", [] { return of(TensorChange::autocontrast, 1, 0); })
      .def_static("equalize", [] { return of(TensorChange::equalize, 1, 0); })
      .def_static("saturation", [](float ratio, float rest) { return of(TensorChange::saturation, ratio, rest); },
                  py::arg("ratio"), py::arg("rest"))
      .def_static("contrast", [](float ratio, float rest) { return of(TensorChange::contrast, ratio, rest); },
                  py::arg("ratio"), py::arg("rest"))
      .def_static("sharpness", [](float ratio, float rest) { return of(TensorChange::sharpness, ratio, rest); },
                  py::arg("ratio"), py::arg("rest"))
      .def_static(
          "warp",
          [](const std::array<float, 6>& by) {
            auto made = of(TensorChange::warp, 1, 0);
            std::copy(by.begin(), by.end(), made->by);
            return made;
          },
          py::arg("by"));
  py::class_<MixOperation>(module, "MixOperation", "An operation of AugMix.")
      .def(py::init(&make_operation), py::arg("effects"), py::kw_only(), py::arg("is_signed"), py::arg("magnitudes"));
  py::class_<AugMix, std::shared_ptr<AugMix>>(module, "AugMix", "AugMix of images of one size (height, width).")
      .def(py::init(&make), py::arg("operations"), py::kw_only(), py::arg("size"), py::arg("is_gray"), py::arg("is_fused"),
           py::arg("is_nearest"), py::arg("alpha"), py::arg("chains"), py::arg("depth"));
  module.def("tensor_op", &apply, py::arg("image"), py::arg("operation"), py::kw_only(), py::arg("is_gray") = false,
             py::arg("is_fused") = false, py::arg("is_nearest") = false, py::arg("is_scalar") = false,
             "What one operation of AugMix makes of [height, width, 3].");
}

}  // namespace fastload::bindings
