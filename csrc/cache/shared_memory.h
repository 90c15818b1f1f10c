// cache/shared_memory.h: memory without a name in any file system (memfd_create(2)), for processes that hand its descriptor on. It is
// gone with the last of them, however that ends, and not limited by the size of /dev/shm: a control group's limit counts.
//
// Its first part is mapped for writing; the rest is mapped read-only and written by a system call, which says so when there is no
// memory where a page fault would end the process, and lets no stray pointer change what others read. Any thread may call, in every
// process that was forked, too.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace fastload::cache {

class SharedMemory {
 public:
  SharedMemory() = default;
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  // Of `bytes`, zeros that cost nothing until they are written; `name` is what /proc/PID/fd shows. False: errno says why.
  bool create(const char* name, size_t bytes, size_t writable);
  // Of a descriptor, which is this object's from now on. `writable_of` tells from the first page how much is mapped for writing, or
  // 0: that is none of ours. False: errno says why, EINVAL for a descriptor of something else.
  bool join(int fd, size_t (*writable_of)(const void* first_page, size_t bytes));

  // Behind the writable part. False: not written, at least not wholly.
  bool write(size_t offset, const struct iovec* parts, int count) const;

  uint8_t* data() const { return data_; }  // the writable part
  const uint8_t* at(size_t offset) const { return read_only_ + offset; }
  size_t bytes() const { return bytes_; }
  int fd() const { return fd_; }

 private:
  bool map(size_t writable);

  int fd_ = -1;
  uint64_t inode_ = 0;  // of it: a program may have closed all that it did not open itself, and then it is another's
  uint8_t* data_ = nullptr;
  size_t writable_ = 0;
  const uint8_t* read_only_ = nullptr;  // all of it
  size_t bytes_ = 0;
};

}  // namespace fastload::cache
