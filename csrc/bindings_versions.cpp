#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <utility>
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

// Some objects as they are now, compared without a line of Python: classes by their numbers, all else by what lies in it.
class AsTheyAre {
 public:
  AsTheyAre(py::list things, py::list classes, py::list dicts, py::list lists, py::list empty)
      : things_(std::move(things)),
        classes_(std::move(classes)),
        dicts_(std::move(dicts)),
        lists_(std::move(lists)),
        empty_(std::move(empty)) {
    for (const py::handle thing : things_) keep(reinterpret_cast<PyObject*>(Py_TYPE(thing.ptr())));
    for (const py::handle one : classes_) numbers_.push_back(version_of(one.ptr()).value_or(0));
    for (const py::handle one : dicts_) {
      if (!PyDict_Check(one.ptr())) throw py::type_error("no dictionary");
      versions_.push_back(version_of(one.ptr()).value_or(0));
      sizes_.push_back(PyDict_GET_SIZE(one.ptr()));
      each(one.ptr(), [this](PyObject* key, PyObject* value) {
        keep(key);
        keep(value);
        return true;
      });
    }
    for (const py::handle one : lists_) {
      if (!PyList_Check(one.ptr())) throw py::type_error("no list");
      sizes_.push_back(PyList_GET_SIZE(one.ptr()));
      for (py::ssize_t i = 0; i < sizes_.back(); ++i) keep(PyList_GET_ITEM(one.ptr(), i));
    }
  }

  // False: something has changed, or that cannot be told here.
  bool hold() {
    size_t next = 0;
    for (const py::handle thing : things_) {
      if (reinterpret_cast<PyObject*>(Py_TYPE(thing.ptr())) != kept_[next++]) return false;
    }
    for (size_t i = 0; i < numbers_.size(); ++i) {
      if (numbers_[i] == 0 || version_of(PyList_GET_ITEM(classes_.ptr(), static_cast<py::ssize_t>(i))) != numbers_[i]) return false;
    }
    for (const py::handle one : empty_) {
      if (PyObject_Size(one.ptr()) != 0) return false;
    }
    size_t size = 0;
    for (size_t i = 0; i < versions_.size(); ++i, ++size) {
      PyObject* const dict = PyList_GET_ITEM(dicts_.ptr(), static_cast<py::ssize_t>(i));
      const uint64_t version = version_of(dict).value_or(0);
      const size_t first = next;
      next += 2 * static_cast<size_t>(sizes_[size]);
      if (version != 0 && version == versions_[i]) continue;
      size_t at = first;
      const bool same = PyDict_GET_SIZE(dict) == sizes_[size] && each(dict, [&](PyObject* key, PyObject* value) {
                          at += 2;
                          return kept_[at - 2] == key && kept_[at - 1] == value;
                        });
      if (!same) return false;
      versions_[i] = version;
    }
    for (const py::handle list : lists_) {
      const py::ssize_t count = sizes_[size++];
      if (PyList_GET_SIZE(list.ptr()) != count) return false;
      for (py::ssize_t i = 0; i < count; ++i) {
        if (PyList_GET_ITEM(list.ptr(), i) != kept_[next++]) return false;
      }
    }
    return true;
  }

 private:
  void keep(PyObject* object) {
    kept_.push_back(object);
    owned_.append(py::reinterpret_borrow<py::object>(object));
  }

  // Until `look` gives false: then that.
  template <typename Look>
  static bool each(PyObject* dict, Look look) {
    PyObject *key = nullptr, *value = nullptr;
    py::ssize_t at = 0;
    while (PyDict_Next(dict, &at, &key, &value)) {
      if (!look(key, value)) return false;
    }
    return true;
  }

  const py::list things_, classes_, dicts_, lists_, empty_;
  std::vector<uint64_t> numbers_, versions_;
  std::vector<py::ssize_t> sizes_;
  std::vector<PyObject*> kept_;
  py::list owned_;  // what these are, so that an address stays its own
};

}  // namespace

void bind_versions(py::module_& module) {
  py::class_<AsTheyAre>(module, "AsTheyAre", "Some objects as they are now.")
      .def(py::init<py::list, py::list, py::list, py::list, py::list>(), py::arg("things"), py::arg("classes"),
           py::arg("dicts"), py::arg("lists"), py::arg("empty"),
           "Things of their classes, classes and all that they have, dictionaries, lists, and what has no elements.")
      .def("hold", &AsTheyAre::hold, "False: something has changed, or that cannot be told here.");
  py::class_<Versions>(module, "Versions", "Whether dictionaries and classes may have changed since they were looked at.")
      .def(py::init<py::list>(), py::arg("owners"))
      .def("now", &Versions::now, "What is another after every change; None: that cannot be told.");
}

}  // namespace fastload::bindings
