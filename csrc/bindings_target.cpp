#include <pybind11/stl.h>

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings.h"
#include "bindings_lock.h"
#include "bindings_noise.h"
#include "engine/target.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

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

engine::NoiseFn noise_of(std::vector<std::string> dtypes, size_t element_bytes) {
  return [dtypes = std::move(dtypes), element_bytes](const random::Mt19937& generator, size_t count, uint8_t* out) {
    locked([&] {
      try {
        const py::tuple drawn = torch_noise(generator, count, dtypes);
        const auto bytes = drawn[0].cast<std::string_view>();
        if (bytes.size() != count * element_bytes) throw std::runtime_error("noise of another dtype");
        std::memcpy(out, bytes.data(), bytes.size());
      } catch (const py::error_already_set& error) {
        throw std::runtime_error(error.what());
      }
    });
  };
}

std::shared_ptr<engine::Target> make_target(const py::buffer& table, const std::string& element,
                                            const std::string& layout, const std::vector<float>& mean,
                                            const std::vector<float>& std_, const py::bytes& erased,
                                            std::vector<std::string> noise) {
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
  const auto values = static_cast<std::string_view>(erased);
  target->erased.assign(values.begin(), values.end());
  if (!noise.empty()) target->noise = noise_of(std::move(noise), named->bytes);
  return target;
}

}  // namespace

void bind_target(py::module_& module) {
  py::class_<engine::Target, std::shared_ptr<engine::Target>>(module, "Target",
                                                              "What a byte of each channel becomes, and where.")
      .def(py::init(&make_target), py::arg("table"), py::kw_only(), py::arg("element"), py::arg("layout"),
           py::arg("mean") = std::vector<float>{}, py::arg("std") = std::vector<float>{},
           py::arg("erased") = py::bytes(), py::arg("noise") = std::vector<std::string>{},
           "`element`: uint8, float32, float16, bfloat16 or float64; `layout`: chw or hwc; `erased`: an element a "
           "channel for each RandomErasing; `noise`: dtypes of torch's that normal deviates are cast to, one after the other.")
      .def_property_readonly("arithmetic", [](const engine::Target& t) { return t.values.use_arithmetic; })
      .def_property_readonly("channels", [](const engine::Target& t) { return t.values.channels; });
}

}  // namespace fastload::bindings
