// io/open_file.h: a file that is read in pieces, and what tells it from the file that was there before.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>

namespace fastload::io {

int64_t changed_ns(const struct stat& info);  // its content
int64_t status_ns(const struct stat& info);   // whatever of it

class OpenFile {
 public:
  OpenFile() = default;
  ~OpenFile() { close(); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  // A regular file. False: it is none, or cannot be opened.
  bool open(const char* path);
  void close();
  // As it is now.
  bool look(struct stat* info) const;
  // All of these bytes. False: they are not there.
  bool read(int64_t offset, size_t size, uint8_t* to) const;
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

// From any open file: how many of these bytes there are; negative: they cannot be read.
int64_t read_up_to(int fd, int64_t offset, size_t size, uint8_t* to);
// All of them. False: they are not there.
bool read_at(int fd, int64_t offset, size_t size, uint8_t* to);

}  // namespace fastload::io
