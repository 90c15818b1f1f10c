#include "jpeg/entries.h"

#include <algorithm>
#include <cstring>

#include "io/crc32c.h"

namespace fastload::jpeg {

namespace {

// The head of a record, in the order of docs/entries-file.md, which this must not leave without another version.
struct Head {
  uint32_t magic;
  uint16_t version;
  uint16_t header_bytes;
  uint32_t bytes;
  uint32_t crc32c;  // of all the rest
  uint64_t key[2];
  int64_t file_bytes;
  int64_t changed_ns;
  int64_t status_ns;
  uint32_t content_crc32c;
  uint32_t scan_at;
  uint32_t scan_bytes;
  uint16_t width;
  uint16_t height;
  uint16_t every;
  uint16_t mcus_per_row;
  uint16_t mcu_rows;
  uint8_t components;
  uint8_t bit_width;
  uint8_t dc_widths[kMostComponents];
  uint32_t zero;
};
static_assert(sizeof(Head) == 88, "as documented");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are little-endian");

constexpr uint32_t kMagic = 0x50454C46;  // "FLEP"
constexpr uint16_t kVersion = 1;
constexpr size_t kBefore = 12;     // the checksum, and
constexpr size_t kBehind = 16;     // … behind it
constexpr size_t kAlignment = 8;
constexpr int kMostBits = 32;      // of a place
constexpr int kMostDcBits = 16;
constexpr int kWordBits = 57;      // that packed() gives at least

uint32_t checksum(const uint8_t* record, size_t size) {
  return io::crc32c({record + kBehind, size - kBehind}, io::crc32c({record, kBefore}));
}

int width_of(uint32_t value) {
  int width = 0;
  while (width < kMostBits && value >> width != 0) ++width;
  return width;
}

// For a signed number.
int width_of(int16_t value) { return value == 0 ? 0 : width_of(static_cast<uint32_t>(value < 0 ? ~value : value)) + 1; }

int sign_extended(uint64_t bits, int width) {
  return width == 0 ? 0 : static_cast<int>(static_cast<int64_t>(bits << (64 - width)) >> (64 - width));
}

size_t packed_bytes(size_t points, int width) { return (points * static_cast<size_t>(width) + 7) / 8; }

class Packer {
 public:
  explicit Packer(uint8_t* to) : to_(to) {}  // zeros, and a word of them behind what is added
  void add(uint64_t value, int width) {
    uint64_t word;
    std::memcpy(&word, to_ + at_ / 8, sizeof word);
    word |= (value & ((uint64_t{1} << width) - 1)) << (at_ % 8);
    std::memcpy(to_ + at_ / 8, &word, sizeof word);
    at_ += static_cast<size_t>(width);
  }

 private:
  uint8_t* to_;
  size_t at_ = 0;
};

}  // namespace

size_t record_size(ByteSpan bytes) {
  Head head = {};
  if (bytes.size < kRecordStart) return 0;
  std::memcpy(&head, bytes.data, kRecordStart);
  const bool is_one = head.magic == kMagic && head.version == kVersion && head.bytes >= sizeof(Head) &&
                      head.bytes <= kLongestRecord && head.bytes % kAlignment == 0;
  return is_one ? head.bytes : 0;
}

bool EntryRecord::parse(ByteSpan bytes) {
  const size_t size = record_size(bytes);
  if (size == 0 || size > bytes.size) return false;
  Head head;
  std::memcpy(&head, bytes.data, sizeof head);
  if (checksum(bytes.data, size) != head.crc32c) return false;
  origin_ = {{head.key[0], head.key[1]}, head.file_bytes, head.changed_ns, head.status_ns, head.content_crc32c};
  layout_ = {head.scan_at, head.scan_bytes, head.width, head.height, head.every, head.mcus_per_row, head.mcu_rows,
             head.components};
  if (head.every == 0 || head.mcus_per_row == 0 || head.mcu_rows == 0) return false;
  if (head.components == 0 || head.components > kMostComponents || head.bit_width > kMostBits) return false;
  bit_width_ = point_width_ = head.bit_width;
  for (int i = 0; i < kMostComponents; ++i) {
    dc_widths_[i] = head.dc_widths[i];
    if (dc_widths_[i] > kMostDcBits || (i >= head.components && dc_widths_[i] != 0)) return false;
    point_width_ += dc_widths_[i];
  }
  const size_t rows = 4 * (size_t{head.mcu_rows} + 1);
  const size_t points = packed_bytes(size_t{head.mcu_rows} * static_cast<size_t>(layout_.per_row()), point_width_);
  // A word is read where a point begins, and all of it must be here.
  if (sizeof head + rows + points + head.header_bytes + kAlignment > size) return false;
  bytes_ = {bytes.data, size};
  rows_ = bytes.data + sizeof head;
  points_ = rows_ + rows;
  header_ = {points_ + points, head.header_bytes};
  return true;
}

EntryRecord::Packing EntryRecord::packing() const {
  const auto place = [this](const uint8_t* part) { return static_cast<size_t>(part - bytes_.data); };
  return {place(rows_), place(points_), place(header_.data), bit_width_, point_width_, dc_widths_};
}

uint32_t EntryRecord::row_begin(int row) const {
  uint32_t bit;
  std::memcpy(&bit, rows_ + 4 * static_cast<size_t>(row), sizeof bit);
  return bit;
}

uint64_t EntryRecord::packed(size_t bit) const {
  uint64_t word;
  std::memcpy(&word, points_ + bit / 8, sizeof word);
  return word >> (bit % 8);
}

uint32_t EntryRecord::bit(int row, int number) const {
  if (number == layout_.per_row()) return row_begin(row + 1);
  const size_t index = static_cast<size_t>(row) * static_cast<size_t>(layout_.per_row()) + static_cast<size_t>(number);
  const uint64_t mask = (uint64_t{1} << bit_width_) - 1;
  return row_begin(row) + static_cast<uint32_t>(packed(index * static_cast<size_t>(point_width_)) & mask);
}

EntryPoint EntryRecord::point(int row, int number) const {
  EntryPoint found;
  found.bit = bit(row, number);
  size_t at = (static_cast<size_t>(row) * static_cast<size_t>(layout_.per_row()) + static_cast<size_t>(number)) *
                  static_cast<size_t>(point_width_) +
              static_cast<size_t>(bit_width_);
  static_assert(kMostDcBits <= kWordBits && kMostBits <= kWordBits, "a field is one word's");
  for (int i = 0; i < layout_.components; ++i) {
    found.dc[i] = static_cast<int16_t>(sign_extended(packed(at), dc_widths_[i]));
    at += static_cast<size_t>(dc_widths_[i]);
  }
  return found;
}

bool append_record(const Origin& origin, const ScanLayout& layout, const std::vector<EntryPoint>& points, uint32_t end_bit,
                   const std::vector<uint8_t>& header, std::vector<uint8_t>* out) {
  const auto per_row = static_cast<size_t>(layout.per_row());
  if (points.size() != per_row * layout.mcu_rows || header.size() > UINT16_MAX) return false;
  Head head = {};
  int widest[kMostComponents] = {};
  uint32_t farthest = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    farthest = std::max(farthest, points[i].bit - points[i - i % per_row].bit);
    for (int c = 0; c < kMostComponents; ++c) widest[c] = std::max(widest[c], width_of(points[i].dc[c]));
  }
  head.bit_width = static_cast<uint8_t>(width_of(farthest));
  int width = head.bit_width;
  for (int c = 0; c < kMostComponents; ++c) {
    head.dc_widths[c] = static_cast<uint8_t>(widest[c]);
    width += widest[c];
  }
  const size_t rows = 4 * (size_t{layout.mcu_rows} + 1);
  const size_t packed = packed_bytes(points.size(), width);
  const size_t used = sizeof head + rows + packed + header.size() + kAlignment;
  const size_t size = (used + kAlignment - 1) / kAlignment * kAlignment;
  if (size > kLongestRecord) return false;
  const size_t begin = out->size();
  out->resize(begin + size);  // zeros
  uint8_t* const record = out->data() + begin;

  head.magic = kMagic;
  head.version = kVersion;
  head.header_bytes = static_cast<uint16_t>(header.size());
  head.bytes = static_cast<uint32_t>(size);
  head.key[0] = origin.key[0];
  head.key[1] = origin.key[1];
  head.file_bytes = origin.file_bytes;
  head.changed_ns = origin.changed_ns;
  head.status_ns = origin.status_ns;
  head.content_crc32c = origin.crc32c;
  head.scan_at = layout.scan_at;
  head.scan_bytes = layout.scan_bytes;
  head.width = layout.width;
  head.height = layout.height;
  head.every = layout.every;
  head.mcus_per_row = layout.mcus_per_row;
  head.mcu_rows = layout.mcu_rows;
  head.components = layout.components;
  Packer packer(record + sizeof head + rows);
  for (size_t i = 0; i < points.size(); ++i) {
    const uint32_t row = points[i - i % per_row].bit;
    if (i % per_row == 0) std::memcpy(record + sizeof head + 4 * (i / per_row), &row, sizeof row);
    packer.add(points[i].bit - row, head.bit_width);
    for (int c = 0; c < kMostComponents; ++c) packer.add(static_cast<uint16_t>(points[i].dc[c]), widest[c]);
  }
  std::memcpy(record + sizeof head + rows - 4, &end_bit, sizeof end_bit);
  std::memcpy(record + sizeof head + rows + packed, header.data(), header.size());
  std::memcpy(record, &head, sizeof head);
  head.crc32c = checksum(record, size);
  std::memcpy(record, &head, sizeof head);
  return true;
}

}  // namespace fastload::jpeg
