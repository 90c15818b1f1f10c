#include "bindings_arrival.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "bindings_lock.h"

namespace fastload::bindings {

namespace py = pybind11;

py::memoryview view_of_bytes(const py::handle& object, ByteSpan* bytes) {
  auto view = py::reinterpret_steal<py::memoryview>(PyMemoryView_FromObject(object.ptr()));
  if (!view) throw py::error_already_set();
  const Py_buffer* const buffer = PyMemoryView_GET_BUFFER(view.ptr());
  if (buffer->ndim != 1 || buffer->itemsize != 1 || PyBuffer_IsContiguous(buffer, 'C') == 0)
    throw py::value_error("a sample in memory is a flat run of bytes");
  *bytes = {static_cast<const uint8_t*>(buffer->buf), static_cast<size_t>(buffer->len)};
  return view;
}

void bind_arrival(py::module_& module) {
  py::class_<PyArrival, std::shared_ptr<PyArrival>>(module, "Arrival",
                                                    "Bytes that are promised; an engine's thread waits for them.")
      .def(py::init<>())
      .def(
          "fulfil",
          [](PyArrival& promised, const py::object& data, std::string cache_name, std::string version) {
            ByteSpan bytes;
            py::object view = view_of_bytes(data, &bytes);
            if (!promised.arrival.fulfil(bytes, {std::move(cache_name), std::move(version)})) return false;
            promised.view = std::move(view);  // with Python's lock, which whoever could let go of it wants
            return true;
          },
          py::arg("data"), py::arg("cache_name") = "", py::arg("version") = "",
          "The bytes, which are kept and not copied, and what was learned of them as they came: what a cache knows them by, and "
          "their version. False: it had ended before.")
      .def(
          "fail", [](PyArrival& promised, std::string why) { return promised.arrival.fail(std::move(why)); },
          py::arg("why"), "They do not come. False: it had ended before.")
      .def(
          "give_up", [](PyArrival& promised) { promised.arrival.give_up(); }, "Nobody wants them any more.")
      .def(
          "wait",
          [](PyArrival& promised, double timeout_s) {
            const std::chrono::milliseconds timeout(static_cast<int64_t>(timeout_s * 1000));
            return unlocked([&] { return promised.arrival.wait_for(timeout); });
          },
          py::arg("timeout_s"), "True once it has ended.")
      .def_property_readonly("given_up", [](const PyArrival& promised) { return promised.arrival.is_given_up(); })
      .def_property_readonly(
          "late", [](const PyArrival& promised) { return promised.arrival.is_late(); }, "Somebody had to wait.");
}

}  // namespace fastload::bindings
