#include <pybind11/stl.h>

#include <vector>

#include "bindings.h"
#include "random/generator.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

random::Mt19937 generator_from_torch(const py::buffer& state) {
  const py::buffer_info info = state.request();
  random::Mt19937 generator;
  if (info.itemsize != 1 ||
      !generator.import_torch(static_cast<const uint8_t*>(info.ptr), static_cast<size_t>(info.size))) {
    throw py::value_error("not the state of torch's CPU generator");
  }
  return generator;
}

}  // namespace

void bind_random(py::module_& module) {
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
}

}  // namespace fastload::bindings
