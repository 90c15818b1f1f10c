// io/source.h: where a sample's bytes are -> the bytes. A path, a range of a file, or memory that somebody else holds.
#pragma once

#include <memory>
#include <string_view>

#include "types.h"

namespace fastload::io {

enum class SourceKind : uint8_t { path, range, memory };

// Views only: the path's characters (followed by a NUL) and the memory live as long as the batch that names them.
struct Source {
  SourceKind kind = SourceKind::path;
  std::string_view path;
  int64_t offset = 0;  // range
  int64_t length = 0;  // range
  ByteSpan memory;
};

// The thread's own file bytes: grows, never shrinks, one file at a time.
class FileBuffer {
 public:
  // Fills `bytes` from `source`; they live until the next read. Memory is passed through without a copy.
  Status read(const Source& source, ByteSpan* bytes);

 private:
  Status read_file(const char* path, int64_t offset, int64_t length, ByteSpan* bytes);
  void reserve(size_t size);

  std::unique_ptr<uint8_t[]> data_;
  size_t capacity_ = 0;
};

}  // namespace fastload::io
