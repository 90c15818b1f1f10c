#include "bindings_source.h"

#include <cstddef>
#include <string_view>

#include "bindings_arrival.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

void append_path(const py::handle& path, std::string* paths) {
  const auto encoded = py::reinterpret_steal<py::bytes>(PyUnicode_EncodeFSDefault(path.ptr()));
  if (!encoded) throw py::error_already_set();
  const auto characters = static_cast<std::string_view>(encoded);
  if (characters.find('\0') != std::string_view::npos) throw py::value_error("embedded null byte in a path");
  paths->append(characters);
  paths->push_back('\0');
}

io::FileState state_of(const py::handle& object) {
  const auto state = py::reinterpret_borrow<py::tuple>(object);
  if (!py::isinstance<py::tuple>(object) || state.size() != 3)
    throw py::value_error("a file's state is (size, time in ns, inode)");
  return {state[0].cast<int64_t>(), state[1].cast<int64_t>(), state[2].cast<uint64_t>()};
}

// All but the path itself: `paths` may still move.
io::Source append_source(const py::handle& object, Pointees* pointees) {
  io::Source source;
  if (py::isinstance<py::str>(object)) {
    append_path(object, &pointees->paths);
  } else if (py::isinstance<py::tuple>(object)) {
    const auto range = py::reinterpret_borrow<py::tuple>(object);
    if (range.size() < 3 || range.size() > 5)
      throw py::value_error("a range is (path, offset, length[, crc32c[, state]])");
    append_path(range[0], &pointees->paths);
    source.kind = io::SourceKind::range;
    source.offset = range[1].cast<int64_t>();
    source.length = range[2].cast<int64_t>();
    if (range.size() >= 4) source.crc32c = range[3].cast<int64_t>();
    if (range.size() == 5) source.state = state_of(range[4]);
  } else if (py::isinstance<PyArrival>(object)) {
    source.kind = io::SourceKind::arrival;
    source.arrival = &object.cast<PyArrival&>().arrival;
    pointees->memory.append(object);
  } else {
    source.kind = io::SourceKind::memory;
    pointees->memory.append(view_of_bytes(object, &source.memory));
  }
  return source;
}

bool is_of_file(const io::Source& source) {
  return source.kind == io::SourceKind::path || source.kind == io::SourceKind::range;
}

}  // namespace

io::Source read_source(const py::handle& object, Pointees* pointees) {
  const size_t start = pointees->paths.size();
  io::Source source = append_source(object, pointees);
  if (is_of_file(source)) source.path = std::string_view(pointees->paths.data() + start);
  return source;
}

std::vector<engine::Sample> read_sources(const py::list& sources, const std::vector<uint64_t>& indices,
                                         Pointees* pointees) {
  if (sources.size() != indices.size()) throw py::value_error("one source an index");
  std::vector<engine::Sample> samples(indices.size());
  for (size_t slot = 0; slot < indices.size(); ++slot) {
    samples[slot].source = append_source(sources[slot], pointees);
    samples[slot].index = indices[slot];
  }
  // Paths lie in the order of the samples, each up to its NUL.
  const char* next = pointees->paths.data();
  for (engine::Sample& sample : samples) {
    if (!is_of_file(sample.source)) continue;
    sample.source.path = std::string_view(next);
    next += sample.source.path.size() + 1;
  }
  return samples;
}

void read_cache_names(const py::list& names, std::vector<engine::Sample>* samples, Pointees* pointees) {
  if (names.size() != samples->size()) throw py::value_error("one name a source");
  std::vector<size_t> ends;
  for (const py::handle name : names) {
    if (!name.is_none()) pointees->names += name.cast<std::string>();
    ends.push_back(pointees->names.size());
  }
  size_t begin = 0;
  for (size_t slot = 0; slot < ends.size(); ++slot) {
    (*samples)[slot].cache_name = std::string_view(pointees->names.data() + begin, ends[slot] - begin);
    begin = ends[slot];
  }
}

}  // namespace fastload::bindings
