#include "entries/sample_entries.h"

#include <sys/stat.h>
#include <time.h>

#include <cstring>
#include <new>

#include "cache/hash.h"
#include "io/crc32c.h"

namespace fastload::entries {

namespace {

constexpr size_t kEoiBytes = 2;

int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * int64_t{1000000000} + now.tv_nsec;
}

// What stands in the place of a file's times for what comes from afar; zeros: not known.
void set_version(std::string_view version, jpeg::Origin* origin) {
  origin->changed_ns = origin->status_ns = 0;
  if (version.empty()) return;
  cache::Hash hash;
  hash.add(version);
  const cache::Key key = hash.key();
  origin->changed_ns = static_cast<int64_t>(key.low);
  origin->status_ns = static_cast<int64_t>(key.high);
}

// A stamp far ahead is another machine's, or somebody's wish.
bool is_near(int64_t stamp_ns, int64_t now_ns) { return stamp_ns > now_ns - kYoung && stamp_ns < now_ns + kYoung; }

}  // namespace

bool SampleEntries::find(const Store* store, const io::Source& source, ByteSpan bytes, bool wants_all) {
  close();
  store_ = nullptr;
  root_ = nullptr;
  is_used_ = is_refused_ = is_wanted_ = is_made_ = is_young_ = false;
  source_ = source;
  if (store == nullptr || store->roots.empty() || !(source.is_of_file() || is_far())) return false;
  store_ = store;
  root_ = &store->root_of(source);
  key_ = root_->key_of(source);
  ByteSpan found;
  const bool is_known = key_.is_one() && root_->find(key_, &record_bytes_, &found);
  is_used_ = is_known && record_.parse(found) && holds(bytes, wants_all);
  is_refused_ = is_known && !is_used_;
  if (!is_used_) look_before();
  return is_used_;
}

bool SampleEntries::is_of_version(const Store& store, const io::Source& source) {
  source_ = source;
  if (source.place.empty() || source.version.empty() || store.roots.empty()) return false;
  const Root& root = store.root_of(source);
  ByteSpan found;
  if (!root.find(root.key_of(source), &record_bytes_, &found) || !record_.parse(found)) return false;
  return (record_.origin().changed_ns | record_.origin().status_ns) != 0 && is_version();
}

void SampleEntries::look_before() {
  close();
  is_wanted_ = key_.is_one() && root_->log != nullptr && root_->log->is_open();
  if (!is_wanted_ || is_far()) return;
  is_wanted_ = ::stat(source_.path.data(), &before_) == 0 && S_ISREG(before_.st_mode);
  began_ns_ = now_ns();
}

bool SampleEntries::is_as_it_was(const struct stat& info) const {
  const jpeg::Origin& origin = record_.origin();
  return info.st_size == origin.file_bytes && io::changed_ns(info) == origin.changed_ns && source_.state.is_of(info);
}

bool SampleEntries::is_version() const {
  const jpeg::Origin& origin = record_.origin();
  jpeg::Origin now;
  set_version(source_.version, &now);
  const bool is_known = (now.changed_ns | now.status_ns) != 0 && (origin.changed_ns | origin.status_ns) != 0;
  return !is_known || (now.changed_ns == origin.changed_ns && now.status_ns == origin.status_ns);
}

bool SampleEntries::has_content(ByteSpan bytes) {
  const jpeg::ScanLayout& layout = record_.layout();
  whole_ = bytes;
  return bytes.size >= size_t{layout.scan_at} + layout.scan_bytes + kEoiBytes &&
         io::crc32c(bytes) == record_.origin().crc32c;
}

bool SampleEntries::holds(ByteSpan bytes, bool wants_all) {
  const jpeg::Origin& origin = record_.origin();
  const jpeg::ScanLayout& layout = record_.layout();
  const size_t least = size_t{layout.scan_at} + layout.scan_bytes + kEoiBytes;
  if (is_far() && !is_version()) return false;
  if (bytes.data == nullptr && source_.kind == io::SourceKind::memory) bytes = source_.memory;
  if (bytes.data == nullptr && source_.kind == io::SourceKind::arrival && !source_.arrival->wait(&bytes).ok()) return false;
  if (bytes.data != nullptr) return has_content(bytes);
  struct stat info;
  if (!file_.open(source_.path.data()) || !file_.look(&info) || !(is_far() || is_as_it_was(info))) return false;
  const bool is_range = source_.kind == io::SourceKind::range;
  begin_ = is_range ? source_.offset : 0;
  size_ = is_range ? source_.length : static_cast<int64_t>(info.st_size);
  status_ns_ = io::status_ns(info);
  if (begin_ < 0 || size_ < 0 || static_cast<size_t>(size_) < least) return false;
  if (is_far()) return reads_all();
  const bool is_checked = source_.crc32c >= 0;
  if (is_checked && source_.crc32c != origin.crc32c) return false;
  const bool is_believed = !is_checked && !store_->verifies && status_ns_ == origin.status_ns;
  return (is_believed && !wants_all) || reads_all();
}

bool SampleEntries::reads_all() {
  const auto size = static_cast<size_t>(size_);
  uint8_t* const data = codes_.reserve(size + kPixelSlack);
  return file_.read(begin_, size, data) && has_content({data, size});
}

bool SampleEntries::give(const jpeg::Piece& wanted, jpeg::Session* session) {
  if (whole_.data != nullptr) {
    session->give(whole_, 0);
    return true;
  }
  uint8_t* const data = codes_.reserve(wanted.size + kPixelSlack);
  if (!read(wanted, data)) return false;
  session->give({data, wanted.size}, wanted.at);
  return true;
}

bool SampleEntries::copy(const jpeg::Piece& wanted, uint8_t* to) {
  if (whole_.data == nullptr) return read(wanted, to);
  if (wanted.at + wanted.size > whole_.size) return false;
  std::memcpy(to, whole_.data + wanted.at, wanted.size);
  return true;
}

bool SampleEntries::read(const jpeg::Piece& wanted, uint8_t* to) const {
  if (wanted.size == 0 || wanted.at + wanted.size > static_cast<size_t>(size_)) return false;
  struct stat info;
  if (!file_.read(begin_ + static_cast<int64_t>(wanted.at), wanted.size, to)) return false;
  // Behind the read, since a file's times change before its bytes do.
  return file_.look(&info) && is_as_it_was(info) && io::status_ns(info) == status_ns_;
}

void SampleEntries::refuse() {
  is_used_ = false;
  is_refused_ = true;
  look_before();
}

bool SampleEntries::looks_as_before(size_t size, jpeg::Origin* origin) {
  struct stat info;
  if (::stat(source_.path.data(), &info) != 0) return false;
  origin->file_bytes = info.st_size;
  origin->changed_ns = io::changed_ns(info);
  origin->status_ns = io::status_ns(info);
  if (origin->file_bytes != before_.st_size || origin->changed_ns != io::changed_ns(before_)) return false;
  if (origin->status_ns != io::status_ns(before_) || info.st_ino != before_.st_ino) return false;
  const bool is_range = source_.kind == io::SourceKind::range;
  const int64_t wanted = is_range ? source_.length : origin->file_bytes;
  if (wanted != static_cast<int64_t>(size) || !source_.state.is_of(info)) return false;
  is_young_ = is_near(origin->changed_ns, began_ns_) || is_near(origin->status_ns, began_ns_);
  return !is_young_;
}

void SampleEntries::keep(jpeg::Session* session, ByteSpan bytes) noexcept {
  if (!is_wanted_) return;
  jpeg::Origin origin;
  if (is_far()) {
    origin.file_bytes = static_cast<int64_t>(bytes.size);
    const bool is_learned = source_.version.empty() && source_.kind == io::SourceKind::arrival;
    set_version(is_learned ? source_.arrival->version() : source_.version, &origin);
  } else if (!looks_as_before(bytes.size, &origin)) {
    return;
  }
  origin.key[0] = key_.low;
  origin.key[1] = key_.high;
  origin.crc32c = io::crc32c(bytes);
  made_.clear();
  try {
    is_made_ = session->take_record(origin, &made_) && root_->log->add(key_, {made_.data(), made_.size()});
  } catch (const std::bad_alloc&) {  // the sample is there all the same
  }
}

void SampleEntries::close() {
  file_.close();
  whole_ = {};
}

void SampleEntries::settle() {
  close();
  record_bytes_.settle();
  codes_.settle();
  if (made_.capacity() > Buffer::kKept) std::vector<uint8_t>().swap(made_);
}

}  // namespace fastload::entries
