#include "entries/merge.h"

#include <algorithm>
#include <tuple>

#include "jpeg/entries.h"

namespace fastload::entries {

namespace {

constexpr size_t kPiece = size_t{1} << 20;

}  // namespace

bool Merge::add(const char* path, int64_t at, int64_t size) {
  auto file = std::make_unique<io::OpenFile>();
  struct stat info;
  if (!file->open(path) || !file->look(&info)) return false;
  const int64_t end = size < 0 ? info.st_size : std::min<int64_t>(info.st_size, at + size);
  Buffer window;
  size_t wanted = kPiece;
  while (end - at >= static_cast<int64_t>(kPlaceUnit)) {
    const size_t there = std::min<size_t>(wanted, static_cast<size_t>(end - at));
    uint8_t* const data = window.reserve(there);
    if (!file->read(at, there, data)) return false;
    size_t done = 0;
    while (there - done >= kPlaceUnit) {
      const ByteSpan rest = {data + done, there - done};
      const size_t length = jpeg::record_size(rest);
      if (length > rest.size && static_cast<int64_t>(length) <= end - at - static_cast<int64_t>(done)) break;  // the next window has it
      if (rest.size < jpeg::kRecordStart && static_cast<int64_t>(there) < end - at) break;
      jpeg::EntryRecord record;
      if (length == 0 || length > rest.size || !record.parse({rest.data, length})) {
        done += kPlaceUnit;  // damaged: the next one may begin anywhere
        continue;
      }
      const jpeg::Origin& origin = record.origin();
      found_.push_back({{origin.key[0], origin.key[1]}, static_cast<uint32_t>(files_.size()),
                        static_cast<uint32_t>(length), static_cast<uint64_t>(at) + done});
      done += length;
    }
    wanted = done == 0 ? wanted * 2 : kPiece;
    at += static_cast<int64_t>(done);
    if (wanted > 2 * jpeg::kLongestRecord) break;
  }
  files_.push_back(std::move(file));
  return true;
}

void Merge::finish() {
  bytes_ = next_ = 0;
  const auto by_key = [](const Found& a, const Found& b) {
    return std::tie(a.key.high, a.key.low, b.file, b.offset) < std::tie(b.key.high, b.key.low, a.file, a.offset);
  };
  std::sort(found_.begin(), found_.end(), by_key);  // of one key the newest first
  const auto is_same = [](const Found& a, const Found& b) { return a.key == b.key; };
  found_.erase(std::unique(found_.begin(), found_.end(), is_same), found_.end());
  const auto by_place = [](const Found& a, const Found& b) { return std::tie(a.file, a.offset) < std::tie(b.file, b.offset); };
  std::sort(found_.begin(), found_.end(), by_place);
  slots_.assign(found_.size() + found_.size() / 2 + 16, Slot{0, 0});
  for (const Found& one : found_) {
    uint64_t at = first_slot(one.key, slots_.size());
    while (slots_[at].place != 0) at = (at + 1) % slots_.size();
    slots_[at] = {one.key.low, place_of(bytes_, one.size)};
    bytes_ += one.size;
  }
}

bool Merge::next(ByteSpan* piece) {
  size_t last = next_, size = 0;
  while (last < found_.size() && (last == next_ || size + found_[last].size <= kPiece)) size += found_[last++].size;
  uint8_t* const data = piece_.reserve(std::max<size_t>(size, 1));
  size_t done = 0;
  for (; next_ < last; ++next_) {
    const Found& one = found_[next_];
    if (!files_[one.file]->read(static_cast<int64_t>(one.offset), one.size, data + done)) return false;
    done += one.size;
  }
  *piece = {data, size};
  return true;
}

}  // namespace fastload::entries
