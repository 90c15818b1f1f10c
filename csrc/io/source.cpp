#include "io/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace fastload::io {

namespace {

constexpr int64_t kWholeFile = -1;
// Files are read whole into memory; a sample larger than this is no image that we would decode.
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

void FileBuffer::reserve(size_t size) {
  if (size <= capacity_) return;
  capacity_ = size + size / 2;
  data_.reset(new uint8_t[capacity_]);
}

Status FileBuffer::read_file(const char* path, int64_t offset, int64_t length, ByteSpan* bytes) {
  const File file(path);
  if (file.fd() < 0) return open_failure(errno);
  if (length == kWholeFile) {
    struct stat info;
    if (::fstat(file.fd(), &info) != 0) return {Code::unreadable, "cannot be examined"};
    if (!S_ISREG(info.st_mode)) return {Code::unreadable, "not a regular file"};
    length = info.st_size;
  }
  if (length > kMaxFileBytes) return {Code::too_large, "file larger than 2 GiB"};
  if (length <= 0) return {Code::empty, "empty"};
  reserve(static_cast<size_t>(length) + kPixelSlack);
  int64_t done = 0;
  while (done < length) {
    const ssize_t got =
        ::pread(file.fd(), data_.get() + done, static_cast<size_t>(length - done), static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {Code::unreadable, "read failed"};
    if (got == 0) return {Code::unreadable, "shorter than expected"};
    done += got;
  }
  *bytes = {data_.get(), static_cast<size_t>(length)};
  return {};
}

Status FileBuffer::read(const Source& source, ByteSpan* bytes) {
  switch (source.kind) {
    case SourceKind::path: return read_file(source.path.data(), 0, kWholeFile, bytes);
    case SourceKind::range:
      if (source.offset < 0 || source.length < 0) return {Code::unreadable, "negative range"};
      return read_file(source.path.data(), source.offset, source.length, bytes);
    case SourceKind::memory:
      if (source.memory.size == 0) return {Code::empty, "empty"};
      *bytes = source.memory;
      return {};
  }
  return {Code::unreadable, "unknown source"};
}

}  // namespace fastload::io
