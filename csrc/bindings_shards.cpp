#include "bindings_shards.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace fastload::bindings {

namespace py = pybind11;

namespace {

[[noreturn]] void raise_os_error(int error, const py::object& path) {
  errno = error;
  PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path.ptr());
  throw py::error_already_set();
}

}  // namespace

ShardReader::ShardReader(const py::object& source) : source_(source) {
  if (!py::isinstance<py::str>(source)) return;
  const auto encoded = py::reinterpret_steal<py::bytes>(PyUnicode_EncodeFSDefault(source.ptr()));
  if (!encoded) throw py::error_already_set();
  const std::string path(static_cast<std::string_view>(encoded));
  if (path.find('\0') != std::string::npos) throw py::value_error("embedded null byte in a path");
  int error = 0;
  unlocked([&] {
    file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    error = errno;
  });
  if (file_ < 0) raise_os_error(error, source_);
}

ShardReader::~ShardReader() {
  if (file_ >= 0) close(file_);
}

shards::ReadAt ShardReader::read_at() {
  if (file_ >= 0) return [this](int64_t offset, uint8_t* out, size_t size) { return read_file(offset, out, size); };
  return [this](int64_t offset, uint8_t* out, size_t size) { return read_python(offset, out, size); };
}

int64_t ShardReader::read_file(int64_t offset, uint8_t* out, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t count = pread(file_, out + done, size - done, offset + static_cast<int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      error_ = errno;
      return -1;
    }
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return static_cast<int64_t>(done);
}

int64_t ShardReader::read_python(int64_t offset, uint8_t* out, size_t size) {
  if (raised_) return -1;
  return locked([&]() -> int64_t {
    try {
      const py::object given = call(source_, py::make_tuple(offset, size));
      if (!given) throw py::error_already_set();
      const auto data = given.cast<std::string_view>();
      const size_t count = std::min(size, data.size());
      if (count > 0) std::memcpy(out, data.data(), count);
      return static_cast<int64_t>(count);
    } catch (const std::exception&) {
      raised_ = std::current_exception();
      return -1;
    }
  });
}

void ShardReader::raise_if_failed() {
  if (raised_) std::rethrow_exception(raised_);
  if (error_ != 0) raise_os_error(error_, source_);
}

}  // namespace fastload::bindings
