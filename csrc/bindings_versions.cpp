#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "bindings.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

// A number that is another after each change of a dictionary, or of what a class or its bases have; none: there is no such number,
// or none now.
std::optional<uint64_t> version_of(PyObject* owner) {
  if (PyType_Check(owner)) {
    const auto* const type = reinterpret_cast<const PyTypeObject*>(owner);
    // The interpreter takes the number away when the class changes, and gives it a new one when it looks something up.
#if PY_VERSION_HEX < 0x030D0000
    if (!PyType_HasFeature(const_cast<PyTypeObject*>(type), Py_TPFLAGS_VALID_VERSION_TAG)) return std::nullopt;
#endif
    if (type->tp_version_tag == 0) return std::nullopt;
    return type->tp_version_tag;
  }
#if PY_VERSION_HEX < 0x030C0000
  if (PyDict_Check(owner)) return reinterpret_cast<const PyDictObject*>(owner)->ma_version_tag;
#endif
  return std::nullopt;
}

// Whether dictionaries and classes may have changed since they were looked at, at a cache line each.
class Versions {
 public:
  explicit Versions(py::list owners) : owners_(std::move(owners)) {}

  // As they are now; to be taken before they are looked at.
  py::object now() const {
    std::vector<uint64_t> numbers;
    numbers.reserve(owners_.size());
    for (const py::handle owner : owners_) {
      const std::optional<uint64_t> number = version_of(owner.ptr());
      if (!number) return py::none();
      numbers.push_back(*number);
    }
    return py::bytes(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(uint64_t));
  }

 private:
  const py::list owners_;
};

}  // namespace

void bind_versions(py::module_& module) {
  py::class_<Versions>(module, "Versions", "Whether dictionaries and classes may have changed since they were looked at.")
      .def(py::init<py::list>(), py::arg("owners"))
      .def("now", &Versions::now, "What is another after every change; None: that cannot be told.");
}

}  // namespace fastload::bindings
