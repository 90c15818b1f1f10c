#include "cache/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace fastload::cache {

namespace {

constexpr size_t kPage = 4096;  // enough of the beginning to tell what it is

}  // namespace

SharedMemory::~SharedMemory() {
  if (data_ != nullptr) ::munmap(data_, writable_);
  if (read_only_ != nullptr) ::munmap(const_cast<uint8_t*>(read_only_), bytes_);
  struct stat info;
  if (fd_ >= 0 && ::fstat(fd_, &info) == 0 && info.st_ino == inode_) ::close(fd_);
}

bool SharedMemory::create([[maybe_unused]] const char* name, [[maybe_unused]] size_t bytes,
                          [[maybe_unused]] size_t writable) {
#if defined(__linux__)
  fd_ = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd_ < 0) return false;
  struct stat info;
  if (::fstat(fd_, &info) != 0) return false;
  inode_ = info.st_ino;
  bytes_ = bytes;
  if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) return false;
  if (::fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return false;  // nobody loses pages
  return map(writable);
#else
  errno = ENOSYS;
  return false;
#endif
}

bool SharedMemory::join(int fd, size_t (*writable_of)(const void* first_page, size_t bytes)) {
  fd_ = fd;
  struct stat info;
  if (::fstat(fd_, &info) != 0) return false;
  inode_ = info.st_ino;
  errno = EINVAL;
#if defined(__linux__)
  const int seals = ::fcntl(fd_, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) return false;
#endif
  bytes_ = static_cast<size_t>(info.st_size);
  if (bytes_ < kPage) return false;
  const void* const first = ::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, fd_, 0);
  if (first == MAP_FAILED) return false;
  const size_t writable = writable_of(first, bytes_);
  ::munmap(const_cast<void*>(first), kPage);
  errno = EINVAL;
  return writable != 0 && map(writable);
}

bool SharedMemory::map(size_t writable) {
  void* const head = ::mmap(nullptr, writable, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (head == MAP_FAILED) return false;
  data_ = static_cast<uint8_t*>(head);
  writable_ = writable;
  const void* const all = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd_, 0);
  if (all == MAP_FAILED) return false;
  read_only_ = static_cast<const uint8_t*>(all);
  return true;
}

bool SharedMemory::write(size_t offset, const struct iovec* parts, int count) const {
  struct stat info;
  if (::fstat(fd_, &info) != 0 || info.st_ino != inode_) return false;
  size_t wanted = 0;
  for (int i = 0; i < count; ++i) wanted += parts[i].iov_len;
  ssize_t written = 0;
  do {
    written = ::pwritev(fd_, parts, count, static_cast<off_t>(offset));
  } while (written < 0 && errno == EINTR);
  return written == static_cast<ssize_t>(wanted);
}

}  // namespace fastload::cache
