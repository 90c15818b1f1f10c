// io/source.h: where a sample's bytes are -> the bytes. A path, a range of a file, memory that somebody else holds, or will hold.
//
// What is named may be no image at all, or a gigabyte that lies behind one: a long file is read in steps.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <string_view>

#include "buffer.h"
#include "io/arrival.h"
#include "types.h"

namespace fastload::io {

enum class SourceKind : uint8_t { path, range, memory, arrival };

// A file as it was when runs of its bytes were found: bytes of another are not what was found there.
struct FileState {
  int64_t size = -1;  // negative: nothing is known
  int64_t changed_ns = 0;  // the time of its last change
  uint64_t inode = 0;      // 0: not known

  // What shows nothing: a change that leaves the size and sets the old time again, as nobody does without wanting to.
  bool is_of(const struct stat& now) const;
};

// Views only: the path's characters (followed by a NUL), those of the place, the memory and the arrival live as long as the batch that
// names them.
struct Source {
  SourceKind kind = SourceKind::path;
  std::string_view path;
  int64_t offset = 0;  // range
  int64_t length = 0;  // range
  int64_t crc32c = -1;  // range: what the bytes must have, if not negative
  FileState state;      // range: what the file must be
  ByteSpan memory;
  Arrival* arrival = nullptr;
  // Of what comes from afar, however it is had now (as an arrival, a copy on the disk, bytes in a cache): where it lies there, empty if it
  // does not; and what tells it from what else may have lain there, empty where that is not known.
  std::string_view place;
  std::string_view version;

  bool is_of_file() const { return kind == SourceKind::path || kind == SourceKind::range; }
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
  Status read_file(const char* path, const Judge& judge, ByteSpan* bytes);
  Status read_range(const Source& source, const Judge& judge, ByteSpan* bytes);
  Status read_open(int fd, int64_t offset, int64_t length, const Judge& judge, ByteSpan* bytes);

  Buffer buffer_;
  bool is_whole_ = false;
};

}  // namespace fastload::io
