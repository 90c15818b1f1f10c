// io/source.h: where a sample's bytes are -> the bytes. A path, a range of a file, memory that somebody else holds, or will hold.
//
// What is named may be no image at all, or a gigabyte that lies behind one: a long file is read in steps.
#pragma once

#include <functional>
#include <string_view>

#include "buffer.h"
#include "io/arrival.h"
#include "types.h"

namespace fastload::io {

enum class SourceKind : uint8_t { path, range, memory, arrival };

// Views only: the path's characters (followed by a NUL), the memory and the arrival live as long as the batch that names them.
struct Source {
  SourceKind kind = SourceKind::path;
  std::string_view path;
  int64_t offset = 0;  // range
  int64_t length = 0;  // range
  int64_t crc32c = -1;  // range: what the bytes must have, if not negative
  ByteSpan memory;
  Arrival* arrival = nullptr;
};

using Judge = std::function<Rest(ByteSpan so_far)>;

// The thread's own file bytes, one file at a time.
class FileBuffer {
 public:
  // Fills `bytes` from `source`; they live until the next read. Memory is passed through without a copy, and what is to arrive waited
  // for. Of what is longer than
  // kReadWhole, as much as `judge` wants: it is asked again each time when twice as much is there. Code::not_native: foreign.
  Status read(const Source& source, const Judge& judge, ByteSpan* bytes);
  // Whether the last read left nothing out.
  bool is_whole() const { return is_whole_; }
  // See Buffer.
  void settle() { buffer_.settle(); }

 private:
  Status read_file(const char* path, int64_t offset, int64_t length, const Judge& judge, ByteSpan* bytes);
  Status read_checked(const Source& source, ByteSpan* bytes);

  Buffer buffer_;
  bool is_whole_ = false;
};

}  // namespace fastload::io
