#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings.h"
#include "bindings_lock.h"
#include "bindings_source.h"
#include "entries/make.h"
#include "entries/merge.h"
#include "entries/store.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

using entries::Merge;
using entries::RecordFile;
using entries::RecordLog;
using entries::Store;

using Path = std::filesystem::path;  // whatever bytes: a std::string would have to be UTF-8
// (path, where its slots begin, how many they are, where its records begin, how many bytes they are)
using FileParts = std::tuple<Path, int64_t, uint64_t, int64_t, uint64_t>;
// (prefix of its paths, files, the newest first, and where new records go or None)
using RootParts = std::tuple<Path, std::vector<FileParts>, std::shared_ptr<RecordLog>>;

[[noreturn]] void throw_os_error(const Path& path) {
  const int error = errno != 0 ? errno : EIO;
  PyErr_SetObject(PyExc_OSError, py::make_tuple(error, "cannot be read", path).ptr());
  throw py::error_already_set();
}

constexpr size_t kSome = 64;  // records of a file tell how it was made

std::shared_ptr<Store> store_of(const std::vector<RootParts>& roots, int every, bool verifies, bool keeps) {
  if (roots.empty()) throw py::value_error("a store has one root at least");
  if (every < 0 || every > UINT16_MAX) throw py::value_error("every K-th MCU, with K from 0, for one a row, to 65535");
  auto made = std::make_shared<Store>();
  made->every = every;
  made->verifies = verifies;
  made->keeps = keeps;
  for (const auto& [prefix, files, log] : roots) {
    entries::Root root;
    root.prefix = prefix.native();
    root.log = log;
    for (const auto& [path, slots_at, slots, records_at, records_bytes] : files) {
      auto file = std::make_shared<RecordFile>();
      errno = 0;
      if (!file->open(path.c_str(), {slots_at, slots, records_at, records_bytes})) throw_os_error(path);
      root.files.push_back(std::move(file));
    }
    made->roots.push_back(std::move(root));
  }
  return made;
}

std::vector<io::Source> read_all(const py::list& sources, Pointees* pointees) {
  std::vector<io::Source> read;
  for (const engine::Sample& sample : read_sources(sources, std::vector<uint64_t>(sources.size()), pointees))
    read.push_back(sample.source);
  return read;
}

std::vector<std::pair<int, int>> spacings_of(const Store& store) {
  std::vector<std::pair<int, int>> found;
  for (const entries::Root& root : store.roots) {
    for (const auto& file : root.files) {
      for (const jpeg::ScanLayout& layout : file->some(kSome)) found.emplace_back(layout.every, layout.mcus_per_row);
    }
  }
  return found;
}

}  // namespace

void bind_entries(py::module_& module) {
  py::class_<RecordLog, std::shared_ptr<RecordLog>>(module, "RecordLog", "Records that this process makes.")
      .def(py::init([](const Path& folder, const Path& name) {
             return std::make_shared<RecordLog>(folder.native(), name.native());
           }),
           py::arg("folder"), py::arg("name"), "A file of that name, which comes, with the folder, when the first record is added.")
      .def_property_readonly("records", &RecordLog::records)
      .def_property_readonly("path", [](const RecordLog& log) { return Path(log.path()); })
      .def("end", &RecordLog::end, "No more are added; whoever merges may have them.")
      .def_property_readonly("is_open", &RecordLog::is_open, "Whether more would be added.");
  py::class_<Store, std::shared_ptr<Store>>(module, "EntryStore", "Records of entry points, of all roots of a data set.")
      .def(py::init(&store_of), py::arg("roots"), py::kw_only(), py::arg("every"), py::arg("verifies"), py::arg("keeps") = false,
           "Of roots (prefix, [(path, slots_at, slots, records_at, records_bytes), the newest first], log or None). keeps: records that are there stay, whatever their K.")
      .def(
          "knows",
          [](const Store& store, const py::object& source) {
            Pointees pointees;
            const io::Source read = read_source(source, &pointees);
            return entries::is_known(store, read);
          },
          py::arg("source"), "Whether there is a record of this version of what comes from afar.")
      .def(
          "count_known",
          [](const Store& store, const py::list& sources) {
            Pointees pointees;
            const std::vector<io::Source> read = read_all(sources, &pointees);
            return unlocked([&] { return store.count_known(read); });
          },
          py::arg("sources"), "How many of these have a record, whether it holds or not.")
      .def(
          "make",
          [](const Store& store, const py::list& sources, int threads) {
            Pointees pointees;
            const std::vector<io::Source> read = read_all(sources, &pointees);
            const entries::Made made = unlocked([&] { return entries::make(store, read, threads); });
            return std::make_tuple(made.made, made.known, made.none, made.failed, made.bytes, made.replaced);
          },
          py::arg("sources"), py::arg("threads"),
          "Makes the records that are not there: (made, known, none to be had, failed, bytes read, replaced).")
      .def_property_readonly("spacings", &spacings_of, "Of some records in each file (K, MCUs in a row).");
  py::class_<Merge>(module, "EntryMerge", "Records of several files as those of one.")
      .def(py::init<>())
      .def(
          "add",
          [](Merge& merge, const Path& path, int64_t at, int64_t size) {
            errno = 0;
            if (!unlocked([&] { return merge.add(path.c_str(), at, size); })) throw_os_error(path);
          },
          py::arg("path"), py::arg("at") = 0, py::arg("size") = -1, "A file, newer than those before.")
      .def("finish", [](Merge& merge) { unlocked([&] { merge.finish(); }); })
      .def_property_readonly("records", &Merge::records)
      .def_property_readonly("size", &Merge::bytes, "Of all records, in bytes.")
      .def_property_readonly("slots",
                             [](const Merge& merge) {
                               const auto& slots = merge.slots();
                               return py::array_t<uint64_t>(static_cast<py::ssize_t>(2 * slots.size()),
                                                            reinterpret_cast<const uint64_t*>(slots.data()));
                             })
      .def(
          "next",
          [](Merge& merge) {
            ByteSpan piece;
            errno = 0;
            if (!unlocked([&] { return merge.next(&piece); })) throw_os_error("a file of entry points");
            return py::bytes(reinterpret_cast<const char*>(piece.data), piece.size);
          },
          "The next bytes of the records; empty at the end.");
}

}  // namespace fastload::bindings
