#include "cache/store.h"

#include <algorithm>
#include <cerrno>

namespace fastload::cache {

namespace {

using Word = std::atomic<uint64_t>;
static_assert(Word::is_always_lock_free, "processes share these");

constexpr uint64_t kMagic = 0x31656863616c6601;  // changes with the layout
constexpr size_t kHeadBytes = 4096;
constexpr size_t kAlignment = 64;  // of records
// The table may have this part of all memory: smaller records than 8 times a slot fill it first.
constexpr size_t kMostOfTable = 8;
// Where 2 of 3 slots are taken, a search looks at two on average.
constexpr size_t kSlotsForTwo = 3;
constexpr size_t kMostSteps = 256;

// A place is an offset, which is a multiple of kAlignment, and one of these.
enum State : uint64_t { kWriting = 0, kReady = 1, kRefused = 2, kStates = 3 };

struct RecordHead {
  uint64_t bytes;
  uint64_t note;
};
constexpr size_t kOverhead = sizeof(RecordHead) + kPixelSlack;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

struct Store::Head {
  Word magic;  // of a Store that is ready
  uint64_t slots;
  uint64_t table_end;
  Word used;
  Word samples;
  Word is_full;
};

struct Store::Slot {
  Word low;    // of the key; 0: free
  Word high;   // both are of meaning once …
  Word place;  // … this is ready
};

size_t Store::table_end(const void* first_page, size_t bytes) {
  const auto* head = static_cast<const Head*>(first_page);
  if (head->magic.load(std::memory_order_acquire) != kMagic || head->table_end > bytes || head->slots == 0) return 0;
  return head->slots <= (head->table_end - kHeadBytes) / sizeof(Slot) ? head->table_end : 0;
}

Store::Head& Store::head() const { return *reinterpret_cast<Head*>(memory_.data()); }

// Fastrange: the half of the key that does not mark slots says where its search begins.
Store::Slot& Store::slot(const Key& key, size_t step) const {
  const auto first = static_cast<size_t>(static_cast<unsigned __int128>(key.high) * slots_ >> 64);
  return reinterpret_cast<Slot*>(memory_.data() + kHeadBytes)[(first + step) % slots_];
}

bool Store::create(const char* name, size_t bytes, size_t samples) {
  const size_t most = std::max<size_t>(bytes / kMostOfTable / sizeof(Slot), 16);
  const size_t slots = std::max<size_t>(std::min(samples / 2 * kSlotsForTwo + 16, most), 16);
  const size_t end = (kHeadBytes + slots * sizeof(Slot) + kHeadBytes - 1) / kHeadBytes * kHeadBytes;
  if (!memory_.create(name, std::max(bytes, end), end)) return false;
  slots_ = slots;
  head().slots = slots;
  head().table_end = end;
  head().used.store(end, std::memory_order_relaxed);
  head().magic.store(kMagic, std::memory_order_release);
  return true;
}

bool Store::join(int fd) {
  if (!memory_.join(fd, table_end)) return false;
  slots_ = head().slots;
  return true;
}

bool Store::find(const Key& key, Record* record) const {
  for (size_t step = 0; step < std::min(slots_, kMostSteps); ++step) {
    const Slot& seen = slot(key, step);
    const uint64_t low = seen.low.load(std::memory_order_acquire);
    if (low == 0) return false;
    if (low != key.low) continue;
    const uint64_t place = seen.place.load(std::memory_order_acquire);
    if ((place & kStates) != kReady || seen.high.load(std::memory_order_relaxed) != key.high) continue;
    const uint8_t* const data = memory_.at(place & ~static_cast<uint64_t>(kStates));
    const auto* about = reinterpret_cast<const RecordHead*>(data);
    *record = {{data + sizeof(RecordHead), about->bytes}, about->note};
    return true;
  }
  return false;
}

bool Store::turn_away() const {
  Word& is_full = head().is_full;
  if (is_full.load(std::memory_order_relaxed) == 0) is_full.store(1, std::memory_order_relaxed);
  return false;
}

bool Store::has_room(size_t bytes) const {
  const size_t left = memory_.bytes() - head().used.load(std::memory_order_relaxed);
  return (left > kOverhead && bytes <= left - kOverhead) || turn_away();
}

size_t Store::take(size_t bytes) const {
  Word& used = head().used;
  uint64_t before = used.load(std::memory_order_relaxed);
  do {
    if (bytes > memory_.bytes() - before) return 0;
  } while (!used.compare_exchange_weak(before, before + bytes, std::memory_order_relaxed));
  return before;
}

bool Store::insert(const Key& key, const Record& record) const {
  if (!has_room(record.bytes.size)) return false;
  for (size_t step = 0; step < std::min(slots_, kMostSteps); ++step) {
    Slot& seen = slot(key, step);
    uint64_t low = seen.low.load(std::memory_order_acquire);
    if (low == 0 && seen.low.compare_exchange_strong(low, key.low, std::memory_order_acq_rel)) {
      seen.high.store(key.high, std::memory_order_relaxed);
    } else if (low != key.low) {
      continue;
    } else {
      // Somebody has it, or is at it, or was at it when he died. One that was turned away may be tried again, by one.
      uint64_t place = seen.place.load(std::memory_order_acquire);
      if ((place & kStates) != kRefused) {
        if ((place & kStates) == kReady && seen.high.load(std::memory_order_relaxed) != key.high) continue;
        return true;
      }
      if (seen.high.load(std::memory_order_relaxed) != key.high) continue;
      if (!seen.place.compare_exchange_strong(place, kWriting, std::memory_order_acq_rel)) return true;
    }
    const size_t offset = take(aligned(record.bytes.size + kOverhead));
    RecordHead about = {record.bytes.size, record.note};
    const struct iovec parts[] = {{&about, sizeof about},
                                  {const_cast<uint8_t*>(record.bytes.data), record.bytes.size}};
    if (offset == 0 || !memory_.write(offset, parts, 2)) {
      seen.place.store(kRefused, std::memory_order_release);
      return turn_away();
    }
    seen.place.store(offset | kReady, std::memory_order_release);
    head().samples.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  return turn_away();  // the table is
}

size_t Store::used() const { return head().used.load(std::memory_order_relaxed); }
size_t Store::samples() const { return head().samples.load(std::memory_order_relaxed); }
bool Store::is_full() const { return head().is_full.load(std::memory_order_relaxed) != 0; }

}  // namespace fastload::cache
