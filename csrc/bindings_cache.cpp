#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>

#include "bindings.h"
#include "bindings_lock.h"
#include "bindings_source.h"
#include "cache/cache.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

using Made = std::shared_ptr<cache::Cache>;

[[noreturn]] void throw_errno(int error) {
  errno = error;
  PyErr_SetFromErrno(PyExc_OSError);
  throw py::error_already_set();
}

Made make(bool is_decoded) {
  auto made = std::make_shared<cache::Cache>();
  made->kind = is_decoded ? cache::Kind::decoded : cache::Kind::encoded;
  return made;
}

cache::Key key_of(const py::object& source, const std::string& name, uint32_t variant) {
  Pointees pointees;
  const io::Source from = read_source(source, &pointees);
  return unlocked([&] { return cache::key_of(from, name, variant); });
}

}  // namespace

void bind_cache(py::module_& module) {
  using cache::Cache;
  py::class_<Cache, Made>(module, "Cache", "Samples in shared memory, their bytes or their pixels.")
      .def_static(
          "create",
          [](const std::string& name, bool decoded, size_t bytes, size_t samples) {
            Made made = make(decoded);
            if (!made->store.create(name.c_str(), bytes, samples)) throw_errno(errno);
            return made;
          },
          py::arg("name"), py::kw_only(), py::arg("decoded"), py::arg("bytes"), py::arg("samples"))
      .def_static(
          "join",
          [](int fd, bool decoded) {
            Made made = make(decoded);
            if (!made->store.join(fd)) throw_errno(errno);
            return made;
          },
          py::arg("fd"), py::kw_only(), py::arg("decoded"), "Of a descriptor, which is the cache's then.")
      .def(
          "contains",
          [](const Cache& made, const py::object& source, const std::optional<std::string>& name, uint32_t variant) {
            cache::Record record;
            const cache::Key key = key_of(source, name.value_or(""), variant);
            return key.is_one() && made.store.find(key, &record);
          },
          py::arg("source"), py::arg("name") = py::none(), py::kw_only(), py::arg("variant") = 0,
          "Whether it need not be read; what is there stays.")
      .def_property_readonly("is_decoded", [](const Cache& made) { return made.kind == cache::Kind::decoded; })
      .def_property_readonly("fd", [](const Cache& made) { return made.store.fd(); })
      .def_property_readonly("capacity", [](const Cache& made) { return made.store.capacity(); }, "In bytes.")
      .def_property_readonly("used", [](const Cache& made) { return made.store.used(); }, "In bytes.")
      .def_property_readonly("samples", [](const Cache& made) { return made.store.samples(); })
      .def_property_readonly("is_full", [](const Cache& made) { return made.store.is_full(); },
                             "Whether something was turned away.");
}

}  // namespace fastload::bindings
