// bindings_shards.h: what the bindings of all formats of shards share: where their bytes come from, and arrays of their own.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "bindings_lock.h"
#include "shards/byte_window.h"

namespace fastload::bindings {

void bind_shards_tfrecord(pybind11::module_& module);  // scans of TFRecord files

// The bytes of a shard: of a file by its path, or of a Python callable read(offset, length) -> bytes. Used without the lock, on one
// thread; the callable is called with it.
class ShardReader {
 public:
  explicit ShardReader(const pybind11::object& source);
  ~ShardReader();
  ShardReader(const ShardReader&) = delete;
  ShardReader& operator=(const ShardReader&) = delete;

  shards::ReadAt read_at();
  // What the callable raised, or an OSError. With the lock.
  void raise_if_failed();

 private:
  int64_t read_file(int64_t offset, uint8_t* out, size_t size);
  int64_t read_python(int64_t offset, uint8_t* out, size_t size);

  pybind11::object source_;
  int file_ = -1;
  int error_ = 0;
  std::exception_ptr raised_;
};

template <typename T>
pybind11::array_t<T> array_of(const std::vector<T>& values) {
  return pybind11::array_t<T>(static_cast<pybind11::ssize_t>(values.size()), values.data());
}
inline pybind11::array_t<uint8_t> array_of(const std::string& bytes) {
  return pybind11::array_t<uint8_t>(static_cast<pybind11::ssize_t>(bytes.size()),
                                    reinterpret_cast<const uint8_t*>(bytes.data()));
}

}  // namespace fastload::bindings
