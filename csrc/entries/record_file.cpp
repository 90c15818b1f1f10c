#include "entries/record_file.h"

#include <algorithm>
#include <cstring>

namespace fastload::entries {

namespace {

constexpr size_t kSlotsAtOnce = 8;

}  // namespace

bool is_record_of(ByteSpan bytes, const cache::Key& key) {
  const uint64_t wanted[2] = {key.low, key.high};
  return bytes.size > 0 && jpeg::record_size(bytes) == bytes.size && std::memcmp(bytes.data + jpeg::kRecordStart, wanted, sizeof wanted) == 0;
}

bool RecordFile::open(const char* path, const Parts& parts) {
  parts_ = parts;
  return file_.open(path);
}

bool RecordFile::read(const Slot& slot, Buffer* to, ByteSpan* record) const {
  const uint64_t offset = offset_of(slot.place);
  const size_t size = size_of(slot.place);
  if (size > parts_.records_bytes || offset > parts_.records_bytes - size) return false;
  uint8_t* const data = to->reserve(size);
  *record = {data, size};
  return file_.read(parts_.records_at + static_cast<int64_t>(offset), size, data);
}

std::vector<jpeg::ScanLayout> RecordFile::some(size_t count) const {
  std::vector<jpeg::ScanLayout> found;
  Buffer buffer;
  for (size_t i = 0; i < count && parts_.slots > 0; ++i) {
    Slot slots[kSlotsAtOnce] = {};  // two thirds are taken
    const uint64_t first = static_cast<uint64_t>(static_cast<unsigned __int128>(parts_.slots) * i / count);
    const size_t there = std::min<uint64_t>(kSlotsAtOnce, parts_.slots - first);
    const int64_t at = parts_.slots_at + static_cast<int64_t>(first * sizeof(Slot));
    if (!file_.read(at, there * sizeof(Slot), reinterpret_cast<uint8_t*>(slots))) break;
    for (const Slot& slot : slots) {
      if (slot.place == 0) continue;
      ByteSpan bytes;
      jpeg::EntryRecord record;
      if (read(slot, &buffer, &bytes) && record.parse(bytes)) found.push_back(record.layout());
      break;
    }
  }
  return found;
}

bool RecordFile::find(const cache::Key& key, Buffer* to, ByteSpan* record) const {
  if (parts_.slots == 0) return false;
  uint64_t next = first_slot(key, parts_.slots);
  for (size_t steps = 0; steps < std::min<uint64_t>(kMostSteps, parts_.slots);) {
    Slot slots[kSlotsAtOnce];
    const size_t count = std::min<uint64_t>(kSlotsAtOnce, parts_.slots - next);
    const int64_t at = parts_.slots_at + static_cast<int64_t>(next * sizeof(Slot));
    if (!file_.read(at, count * sizeof(Slot), reinterpret_cast<uint8_t*>(slots))) return false;
    for (size_t i = 0; i < count; ++i, ++steps) {
      const Slot& slot = slots[i];
      if (slot.place == 0) return false;
      if (slot.key != key.low) continue;
      if (!read(slot, to, record)) return false;
      if (is_record_of(*record, key)) return true;
    }
    next = (next + count) % parts_.slots;
  }
  return false;
}

}  // namespace fastload::entries
