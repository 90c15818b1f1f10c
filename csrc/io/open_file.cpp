#include "io/open_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace fastload::io {

namespace {

constexpr int64_t kNanoseconds = 1000000000;

}  // namespace

int64_t changed_ns(const struct stat& info) { return info.st_mtim.tv_sec * kNanoseconds + info.st_mtim.tv_nsec; }

int64_t status_ns(const struct stat& info) { return info.st_ctim.tv_sec * kNanoseconds + info.st_ctim.tv_nsec; }

bool OpenFile::open(const char* path) {
  close();
  fd_ = ::open(path, O_RDONLY | O_CLOEXEC);
  return fd_ >= 0;
}

void OpenFile::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool OpenFile::look(struct stat* info) const { return fd_ >= 0 && ::fstat(fd_, info) == 0 && S_ISREG(info->st_mode); }

bool OpenFile::read(int64_t offset, size_t size, uint8_t* to) const { return read_at(fd_, offset, size, to); }

int64_t read_up_to(int fd, int64_t offset, size_t size, uint8_t* to) {
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::pread(fd, to + done, size - done, static_cast<off_t>(offset + static_cast<int64_t>(done)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return static_cast<int64_t>(done);
}

bool read_at(int fd, int64_t offset, size_t size, uint8_t* to) {
  return read_up_to(fd, offset, size, to) == static_cast<int64_t>(size);
}

}  // namespace fastload::io
