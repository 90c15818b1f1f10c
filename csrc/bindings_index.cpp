#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings.h"
#include "index/path_table.h"

namespace fastload::bindings {

namespace py = pybind11;

void bind_index(py::module_& module) {
  using index::PathTable;
  py::class_<PathTable, std::shared_ptr<PathTable>>(module, "PathTable", "Paths and integer targets in flat arrays.")
      .def(py::init<>())
      .def(
          "append",
          [](PathTable& table, const py::str& path, int64_t target) {
            const auto encoded = py::reinterpret_steal<py::bytes>(PyUnicode_EncodeFSDefault(path.ptr()));
            if (!encoded) throw py::error_already_set();
            table.append(static_cast<std::string_view>(encoded), target);
          },
          py::arg("path"), py::arg("target"))
      .def("shrink", &PathTable::shrink)
      .def(
          "__reduce_ex__",  // pickle's protocols 0 and 1 would construct pybind11's own base, which aborts
          [](py::object self, int protocol) {
            return py::module_::import("builtins").attr("object").attr("__reduce_ex__")(self, std::max(protocol, 2));
          },
          py::arg("protocol"))
      .def(py::pickle(
          [](const PathTable& table) {
            py::tuple parts(PathTable::kParts);
            size_t i = 0;
            for (const std::string_view part : table.parts()) parts[i++] = py::bytes(part.data(), part.size());
            return parts;
          },
          [](const py::tuple& parts) {
            std::array<std::string_view, PathTable::kParts> views;
            if (parts.size() != views.size()) throw py::value_error("not the parts of a PathTable");
            for (size_t i = 0; i < views.size(); ++i) views[i] = parts[i].cast<std::string_view>();
            auto table = std::make_shared<PathTable>();
            if (!table->assign(views)) throw py::value_error("not the parts of a PathTable");
            return table;
          }))
      .def("__len__", &PathTable::size)
      .def(
          "path",
          [](const PathTable& table, int64_t i) {
            if (i < 0 || i >= table.size()) throw py::index_error("sample index out of range");
            const std::string path = table.path(i);
            return py::reinterpret_steal<py::str>(
                PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size())));
          },
          py::arg("i"))
      .def(
          "target",
          [](const PathTable& table, int64_t i) {
            if (i < 0 || i >= table.size()) throw py::index_error("sample index out of range");
            return table.target(i);
          },
          py::arg("i"))
      .def(
          "at",
          [](const PathTable& table, const std::vector<int64_t>& indices) {
            for (const int64_t i : indices) {
              if (i < 0 || i >= table.size()) throw py::index_error("sample index out of range");
            }
            table.fetch(indices);
            py::list paths(indices.size()), targets(indices.size());
            std::string path;
            for (size_t k = 0; k < indices.size(); ++k) {
              const int64_t i = indices[k];
              path.clear();
              table.append_path(i, &path);
              paths[k] = py::reinterpret_steal<py::str>(
                  PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size())));
              targets[k] = py::int_(table.target(i));
            }
            return py::make_tuple(std::move(paths), std::move(targets));
          },
          py::arg("indices"), "Paths and targets of many.")
      .def_property_readonly("memory_bytes", &PathTable::memory_bytes);
}

}  // namespace fastload::bindings
