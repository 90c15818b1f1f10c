#include "bindings_source.h"

#include <cstddef>
#include <string_view>

#include "bindings_arrival.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

constexpr std::string_view kSome = "some";  // in the place of a text that is known once no more are appended

void append_text(const py::handle& text, std::string* texts) {
  const auto encoded = py::reinterpret_steal<py::bytes>(PyUnicode_EncodeFSDefault(text.ptr()));
  if (!encoded) throw py::error_already_set();
  const auto characters = static_cast<std::string_view>(encoded);
  if (characters.find('\0') != std::string_view::npos) throw py::value_error("embedded null byte in a path");
  texts->append(characters);
  texts->push_back('\0');
}

io::FileState state_of(const py::handle& object) {
  const auto state = py::reinterpret_borrow<py::tuple>(object);
  if (!py::isinstance<py::tuple>(object) || state.size() != 3)
    throw py::value_error("a file's state is (size, time in ns, inode)");
  return {state[0].cast<int64_t>(), state[1].cast<int64_t>(), state[2].cast<uint64_t>()};
}

// All but the path itself: the texts may still move.
io::Source append_bytes(const py::handle& object, Pointees* pointees) {
  io::Source source;
  if (py::isinstance<py::str>(object)) {
    append_text(object, &pointees->paths);
  } else if (py::isinstance<py::tuple>(object)) {
    const auto range = py::reinterpret_borrow<py::tuple>(object);
    if (range.size() < 3 || range.size() > 5)
      throw py::value_error("a range is (path, offset, length[, crc32c[, state]])");
    append_text(range[0], &pointees->paths);
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

// With a place, which is not there yet either.
io::Source append_source(const py::handle& object, Pointees* pointees) {
  if (!py::isinstance<py::tuple>(object)) return append_bytes(object, pointees);
  const auto parts = py::reinterpret_borrow<py::tuple>(object);
  if (parts.size() != 3 || py::isinstance<py::str>(parts[0])) return append_bytes(object, pointees);
  io::Source source = append_bytes(parts[0], pointees);
  append_text(parts[1], &pointees->places);
  append_text(parts[2], &pointees->places);
  source.place = kSome;
  return source;
}

// The texts of one source after the other, in the order in which they were appended: each up to its NUL.
class Texts {
 public:
  explicit Texts(const Pointees& pointees) : path_(pointees.paths.data()), place_(pointees.places.data()) {}
  Texts(const Pointees& pointees, size_t path, size_t place)
      : path_(pointees.paths.data() + path), place_(pointees.places.data() + place) {}

  void give_to(io::Source* source) {
    if (source->is_of_file()) source->path = next(&path_);
    if (source->place.empty()) return;
    source->place = next(&place_);
    source->version = next(&place_);
  }

 private:
  static std::string_view next(const char** at) {
    const std::string_view text(*at);
    *at += text.size() + 1;
    return text;
  }

  const char* path_;
  const char* place_;
};

}  // namespace

io::Source read_source(const py::handle& object, Pointees* pointees) {
  const size_t paths = pointees->paths.size(), places = pointees->places.size();
  io::Source source = append_source(object, pointees);
  Texts(*pointees, paths, places).give_to(&source);
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
  Texts texts(*pointees);
  for (engine::Sample& sample : samples) texts.give_to(&sample.source);
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
