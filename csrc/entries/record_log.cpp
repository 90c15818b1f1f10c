#include "entries/record_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "entries/record_file.h"
#include "io/open_file.h"

namespace fastload::entries {

namespace {

constexpr uint64_t kLeftFree = uint64_t{1} << 28;  // of the disk, for others
constexpr uint64_t kLooks = uint64_t{1} << 22;     // bytes between two looks at it

bool has_room(int fd) {
  struct statvfs disk;
  return ::fstatvfs(fd, &disk) == 0 && uint64_t{disk.f_bavail} * disk.f_frsize > kLeftFree;
}

}  // namespace

RecordLog::RecordLog(std::string folder, std::string name)
    : folder_(std::move(folder)), path_(folder_ + "/" + std::move(name)), owner_(::getpid()) {}

RecordLog::~RecordLog() {
  end();
  if (fd_ >= 0) ::close(fd_);
}

void RecordLog::end() {
  if (::getpid() != owner_) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  has_failed_ = true;
  if (fd_ >= 0) ::flock(fd_, LOCK_UN);  // which a forked child has as well, for as long as it lives
}

bool RecordLog::create() {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) return false;
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) return false;
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno == ENOLCK || errno == ENOTSUP || errno == ENOSYS) return true;
  ::unlink(path_.c_str());
  ::close(fd_);
  fd_ = -1;
  return false;
}

bool RecordLog::is_open() const { return !has_failed_ && ::getpid() == owner_; }

bool RecordLog::add(const cache::Key& key, ByteSpan record) {
  if (!is_open()) return false;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (has_failed_ || (fd_ < 0 && !create())) {
    has_failed_ = true;
    return false;
  }
  const bool is_time = bytes_ == 0 || bytes_ / kLooks != (bytes_ + record.size) / kLooks;
  if (is_time && !has_room(fd_)) has_failed_ = true;
  const auto written = has_failed_ ? -1 : ::write(fd_, record.data, record.size);
  if (written != static_cast<ssize_t>(record.size)) {
    has_failed_ = true;  // what there is of it is no record to whoever merges
    return false;
  }
  places_[key.low] = place_of(bytes_, record.size);
  bytes_ += record.size;
  return true;
}

bool RecordLog::find(const cache::Key& key, Buffer* to, ByteSpan* record) const {
  if (::getpid() != owner_) return false;
  uint64_t place = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = places_.find(key.low);
    if (found == places_.end()) return false;
    place = found->second;
  }
  const size_t size = size_of(place);
  uint8_t* const data = to->reserve(size);
  *record = {data, size};
  return io::read_at(fd_, static_cast<int64_t>(offset_of(place)), size, data) && is_record_of(*record, key);
}

size_t RecordLog::records() const {
  if (::getpid() != owner_) return 0;
  const std::lock_guard<std::mutex> lock(mutex_);
  return places_.size();
}

}  // namespace fastload::entries
