#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings.h"
#include "bindings_lock.h"
#include "bindings_shards.h"
#include "shards/tar_scan.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

const char* name_of(shards::TarEnd end) {
  switch (end) {
    case shards::TarEnd::none: return "none";
    case shards::TarEnd::marked: return "marked";
    case shards::TarEnd::unmarked: return "unmarked";
    case shards::TarEnd::truncated: return "truncated";
    case shards::TarEnd::damaged: return "damaged";
    case shards::TarEnd::unreadable: return "unreadable";
  }
  return "none";
}

py::dict as_dict(const shards::TarScan& scan) {
  py::dict out;
  out["offset"] = array_of(scan.offset);
  out["length"] = array_of(scan.length);
  out["number"] = array_of(scan.number);
  out["field"] = array_of(scan.field);
  out["name"] = py::make_tuple(array_of(scan.name.starts), array_of(scan.name.bytes));
  out["text"] = py::make_tuple(array_of(scan.text.starts), array_of(scan.text.bytes));
  out["note"] = py::make_tuple(array_of(scan.note.starts), array_of(scan.note.bytes));
  out["about"] = py::bytes(scan.about);
  out["without_image"] = scan.without_image;
  out["without_target"] = scan.without_target;
  out["first_without_image"] = py::bytes(scan.first_without_image);
  out["first_without_target"] = py::bytes(scan.first_without_target);
  out["returned"] = scan.returned;
  out["unnamed"] = scan.unnamed;
  out["not_files"] = scan.not_files;
  out["links"] = scan.links;
  out["first_links"] = py::bytes(scan.first_link);
  out["end"] = name_of(scan.end);
  out["position"] = scan.position;
  out["reason"] = py::bytes(scan.reason);
  return out;
}

}  // namespace

void bind_shards_tar(py::module_& module) {
  module.def(
      "scan_tar",
      [](const py::object& source, int64_t size, std::vector<std::string> images,
         const std::vector<std::pair<std::string, bool>>& targets, size_t window) {
        if (targets.size() > 255 || window == 0) throw py::value_error("too many targets, or an empty window");
        shards::TarFields fields{std::move(images), {}};
        for (const auto& [ending, is_number] : targets) fields.targets.push_back({ending, is_number});
        ShardReader reader(source);
        shards::ByteWindow bytes(reader.read_at(), size, window);
        shards::TarScan scan = unlocked([&] { return shards::scan_tar(&bytes, fields); });
        reader.raise_if_failed();
        return as_dict(scan);
      },
      py::arg("source"), py::arg("size"), py::arg("images"), py::arg("targets"), py::arg("window") = 4096,
      "The samples of a tar of `size` bytes: a file's path, or what gives bytes by (offset, length).");
  module.def(
      "list_tar",
      [](const py::object& source, int64_t size, size_t window) {
        ShardReader reader(source);
        shards::ByteWindow bytes(reader.read_at(), size, window);
        shards::TarMembers members(&bytes);
        std::vector<std::pair<shards::TarMember, bool>> files;
        unlocked([&] {
          bool is_another = false;
          for (shards::TarMember member; members.next(&member);) {
            is_another = is_another || members.is_another_tar();
            if (!member.is_file) continue;
            files.emplace_back(std::move(member), is_another);
            is_another = false;
          }
        });
        reader.raise_if_failed();
        py::list listed;
        for (const auto& [member, is_another] : files)
          listed.append(py::make_tuple(py::bytes(member.name), member.offset, member.size, is_another));
        return py::make_tuple(listed, name_of(members.end()), members.position(), py::bytes(members.reason()));
      },
      py::arg("source"), py::arg("size"), py::arg("window") = 4096,
      "The files in a tar, each (name, offset, size, whether another tar began before it), and how it ended.");
  module.def(
      "split_tar_name",
      [](const std::string& name) -> py::object {
        std::string_view key, ending;
        if (!shards::split_name(name, &key, &ending)) return py::none();
        return py::make_tuple(py::bytes(std::string(key)), py::bytes(std::string(ending)));
      },
      py::arg("name"), "Key and ending of a member's name; None if it is of no sample.");
}

}  // namespace fastload::bindings
