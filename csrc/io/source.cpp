#include "io/source.h"

#include <algorithm>
#include <cerrno>

#include "io/crc32c.h"
#include "io/open_file.h"

namespace fastload::io {

namespace {

// With nobody asked, and nothing but one read: almost every photo.
constexpr int64_t kReadWhole = int64_t{1} << 22;
// Where an image is larger than this, somebody else may read it.
constexpr int64_t kMaxFileBytes = int64_t{1} << 31;

Status open_failure(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return {Code::not_found, "no such file"};
    case EACCES:
    case EPERM: return {Code::unreadable, "permission denied"};
    case EMFILE:
    case ENFILE: return {Code::unreadable, "too many open files"};
    default: return {Code::unreadable, "cannot be opened"};
  }
}

}  // namespace

bool FileState::is_of(const struct stat& now) const {
  if (size < 0) return true;
  return now.st_size == size && io::changed_ns(now) == changed_ns && (inode == 0 || now.st_ino == inode);
}

Status FileBuffer::read_file(const char* path, const Judge& judge, ByteSpan* bytes) {
  OpenFile file;
  if (!file.open(path)) return open_failure(errno);
  struct stat info;
  if (!file.look(&info)) return {Code::unreadable, "not a regular file"};
  return read_open(file.fd(), 0, info.st_size, judge, bytes);
}

Status FileBuffer::read_range(const Source& source, const Judge& judge, ByteSpan* bytes) {
  OpenFile file;
  if (!file.open(source.path.data())) return open_failure(errno);
  const Judge all = [](ByteSpan) { return Rest::wanted; };
  Status status = read_open(file.fd(), source.offset, source.length, source.crc32c >= 0 ? all : judge, bytes);
  if (status.ok() && source.crc32c >= 0 && crc32c(*bytes) != source.crc32c)
    status = {Code::unreadable, "the checksum of its bytes is wrong: they changed since they were indexed"};
  // Behind the read, since a file's time changes before its bytes do.
  struct stat info;
  if (source.state.size >= 0 && (!file.look(&info) || !source.state.is_of(info)))
    status = {Code::unreadable, "its file has changed since it was indexed: open the data set anew"};
  if (!status.ok()) is_whole_ = false;
  return status;
}

Status FileBuffer::read_open(int fd, int64_t offset, int64_t length, const Judge& judge, ByteSpan* bytes) {
  if (length <= 0) return {Code::empty, "empty"};
  int64_t done = 0;
  for (int64_t step = kReadWhole;; step *= 2) {
    const int64_t end = std::min(step, length);
    uint8_t* const data = buffer_.grow(static_cast<size_t>(end) + kPixelSlack, static_cast<size_t>(done));
    const int64_t got = read_up_to(fd, offset + done, static_cast<size_t>(end - done), data + done);
    if (got < 0) return {Code::unreadable, "read failed"};
    done += got;
    if (done < end) return {Code::unreadable, "shorter than expected"};
    *bytes = {data, static_cast<size_t>(done)};
    is_whole_ = done == length;
    if (is_whole_) return {};
    const Rest rest = judge(*bytes);
    if (rest == Rest::unwanted) return {};
    if (rest == Rest::foreign) return {Code::not_native, "not a plain 8-bit JPEG"};
    if (done >= kMaxFileBytes) return {Code::too_large, "larger than 2 GiB"};
  }
}

Status FileBuffer::read(const Source& source, const Judge& judge, ByteSpan* bytes) {
  is_whole_ = false;
  switch (source.kind) {
    case SourceKind::path: return read_file(source.path.data(), judge, bytes);
    case SourceKind::range:
      if (source.offset < 0 || source.length < 0) return {Code::unreadable, "negative range"};
      return read_range(source, judge, bytes);
    case SourceKind::memory:
      if (source.memory.size == 0) return {Code::empty, "empty"};
      *bytes = source.memory;
      is_whole_ = true;
      return {};
    case SourceKind::arrival: {
      const Status status = source.arrival->wait(bytes);
      is_whole_ = status.ok();
      return status;
    }
  }
  return {Code::unreadable, "unknown source"};
}

}  // namespace fastload::io
