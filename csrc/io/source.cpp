#include "io/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "io/crc32c.h"

namespace fastload::io {

namespace {

constexpr int64_t kWholeFile = -1;
// With nobody asked, and nothing but one read: almost every photo.
constexpr int64_t kReadWhole = int64_t{1} << 22;
// Where an image is larger than this, somebody else may read it.
constexpr int64_t kMaxFileBytes = int64_t{1} << 31;

class File {
 public:
  explicit File(const char* path) : fd_(::open(path, O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

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

Status FileBuffer::read_file(const char* path, int64_t offset, int64_t length, const Judge& judge, ByteSpan* bytes) {
  const File file(path);
  if (file.fd() < 0) return open_failure(errno);
  if (length == kWholeFile) {
    struct stat info;
    if (::fstat(file.fd(), &info) != 0) return {Code::unreadable, "cannot be examined"};
    if (!S_ISREG(info.st_mode)) return {Code::unreadable, "not a regular file"};
    length = info.st_size;
  }
  if (length <= 0) return {Code::empty, "empty"};
  int64_t done = 0;
  for (int64_t step = kReadWhole;; step *= 2) {
    const int64_t end = std::min(step, length);
    uint8_t* const data = buffer_.grow(static_cast<size_t>(end) + kPixelSlack, static_cast<size_t>(done));
    while (done < end) {
      const ssize_t got =
          ::pread(file.fd(), data + done, static_cast<size_t>(end - done), static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return {Code::unreadable, "read failed"};
      if (got == 0) return {Code::unreadable, "shorter than expected"};
      done += got;
    }
    *bytes = {data, static_cast<size_t>(done)};
    is_whole_ = done == length;
    if (is_whole_) return {};
    const Rest rest = judge(*bytes);
    if (rest == Rest::unwanted) return {};
    if (rest == Rest::foreign) return {Code::not_native, "not a plain 8-bit JPEG"};
    if (done >= kMaxFileBytes) return {Code::too_large, "larger than 2 GiB"};
  }
}

Status FileBuffer::read_checked(const Source& source, ByteSpan* bytes) {
  const Judge all = [](ByteSpan) { return Rest::wanted; };
  const Status status = read_file(source.path.data(), source.offset, source.length, all, bytes);
  if (!status.ok() || crc32c(*bytes) == source.crc32c) return status;
  is_whole_ = false;
  return {Code::unreadable, "the checksum of its bytes is wrong: they changed since they were indexed"};
}

Status FileBuffer::read(const Source& source, const Judge& judge, ByteSpan* bytes) {
  is_whole_ = false;
  switch (source.kind) {
    case SourceKind::path: return read_file(source.path.data(), 0, kWholeFile, judge, bytes);
    case SourceKind::range:
      if (source.offset < 0 || source.length < 0) return {Code::unreadable, "negative range"};
      if (source.crc32c >= 0) return read_checked(source, bytes);
      return read_file(source.path.data(), source.offset, source.length, judge, bytes);
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
