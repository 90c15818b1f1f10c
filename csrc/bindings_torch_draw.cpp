#include "bindings_torch_draw.h"

#include <cstring>
#include <utility>

namespace fastload::bindings {

namespace py = pybind11;

namespace {

uint8_t* bytes_of(const py::object& state) {
  return reinterpret_cast<uint8_t*>(state.attr("data_ptr")().cast<uintptr_t>());
}

py::object state_of(const py::object& generator) {
  py::object state = generator.attr("get_state")();
  if (state.attr("numel")().cast<size_t>() != random::Mt19937::kTorchStateBytes) {
    throw py::value_error("not torch's CPU generator");
  }
  return state;
}

}  // namespace

TorchDraw::TorchDraw(py::object generator) : generator_(std::move(generator)), state_(state_of(generator_)) {
  if (!before_.import_torch(bytes_of(state_), random::Mt19937::kTorchStateBytes)) {
    throw py::value_error("not the state of torch's CPU generator");
  }
  now_ = before_;
}

void TorchDraw::keep() {
  now_.export_torch(bytes_of(state_));
  generator_.attr("set_state")(state_);
}

void TorchDraw::undo() {
  const py::object now = state_of(generator_);
  if (std::memcmp(bytes_of(now), bytes_of(state_), random::Mt19937::kTorchStateBytes) != 0) return;
  before_.export_torch(bytes_of(now));
  generator_.attr("set_state")(now);
}

void bind_torch_draw(py::module_& module) {
  py::class_<TorchDraw>(module, "TorchDraw", "What was drawn from torch's generator for one sample.")
      .def("undo", &TorchDraw::undo, "As if nothing had been drawn, unless others have drawn since.");
}

}  // namespace fastload::bindings
