#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <vector>

#include "bindings.h"
#include "bindings_lock.h"
#include "engine/memory.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

// Memory from `grow(id, bytes, gone)`, which returns a uint8 array and keeps it alive, but not those that are gone.
std::shared_ptr<engine::BatchMemory> make_memory(const py::function& grow) {
  // The last reference to a Python object may go on an engine's thread.
  const std::shared_ptr<py::function> held(new py::function(grow),
                                           [](py::function* function) { locked([function] { delete function; }); });
  return std::make_shared<engine::BatchMemory>([held](int id, size_t bytes, const std::vector<int>& gone) -> uint8_t* {
    return locked([&]() -> uint8_t* {
      const py::object made = call(*held, py::make_tuple(id, bytes, gone));
      if (!made || !py::isinstance<py::array_t<uint8_t>>(made)) {
        PyErr_Clear();
        return nullptr;
      }
      auto array = py::reinterpret_borrow<py::array_t<uint8_t>>(made);
      return array.nbytes() == static_cast<py::ssize_t>(bytes) ? array.mutable_data() : nullptr;
    });
  });
}

}  // namespace

void bind_memory(py::module_& module) {
  py::class_<engine::BatchMemory, std::shared_ptr<engine::BatchMemory>>(
      module, "BatchMemory", "Blocks of memory for batches, taken when a batch is first written.")
      .def(py::init(&make_memory), py::arg("grow"), "Of grow(id, bytes, ids that are gone), which gives uint8.")
      .def("give", &engine::BatchMemory::give_back, py::arg("id"), "Block `id` is nobody's again.")
      .def("forget", &engine::BatchMemory::forget, py::arg("id"), "Block `id` is the caller's for good.");
}

}  // namespace fastload::bindings
