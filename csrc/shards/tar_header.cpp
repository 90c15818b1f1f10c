#include "shards/tar_header.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

namespace fastload::shards {

namespace {

// Where a header has its fields.
constexpr size_t kName = 0, kNameSize = 100;
constexpr size_t kSize = 124, kSizeSize = 12;
constexpr size_t kChecksum = 148, kChecksumSize = 8;
constexpr size_t kType = 156;
constexpr size_t kMagic = 257;
constexpr size_t kPrefix = 345, kPrefixSize = 155;
constexpr size_t kStarPrefixSize = 131;  // star keeps times behind it, and says so at the end
constexpr size_t kStarMagic = 508;

std::string_view text(const uint8_t* field, size_t width) {
  const auto* const characters = reinterpret_cast<const char*>(field);
  return {characters, strnlen(characters, width)};
}

bool has_checksum(const uint8_t* block) {
  int64_t stored = 0;
  if (!read_number(block + kChecksum, kChecksumSize, &stored)) return false;
  int64_t as_unsigned = 0, as_signed = 0;  // old tars added signed characters
  for (size_t i = 0; i < static_cast<size_t>(kBlock); ++i) {
    const uint8_t byte = i >= kChecksum && i < kChecksum + kChecksumSize ? ' ' : block[i];
    as_unsigned += byte;
    as_signed += static_cast<int8_t>(byte);
  }
  return stored == as_unsigned || stored == as_signed;
}

}  // namespace

bool read_number(const uint8_t* field, size_t width, int64_t* number) {
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  int64_t value = 0;
  if (field[0] & 0x80) {
    if (field[0] & 0x40) return false;  // negative
    value = field[0] & 0x3f;
    for (size_t i = 1; i < width; ++i) {
      if (value > kLargest >> 8) return false;
      value = value << 8 | field[i];
    }
    *number = value;
    return true;
  }
  std::string_view digits = text(field, width);
  while (!digits.empty() && digits.front() == ' ') digits.remove_prefix(1);
  while (!digits.empty() && digits.back() == ' ') digits.remove_suffix(1);
  for (const char digit : digits) {
    if (digit < '0' || digit > '7') return false;
    value = value << 3 | (digit - '0');  // twelve digits at most
  }
  *number = value;
  return true;
}

bool is_zero_block(const uint8_t* block) {
  return std::all_of(block, block + kBlock, [](uint8_t byte) { return byte == 0; });
}

std::string_view read_header(const uint8_t* block, TarHeader* header) {
  if (!has_checksum(block)) return "no tar header: its checksum is wrong";
  if (!read_number(block + kSize, kSizeSize, &header->size)) return "a tar header whose size is no number";
  header->type = static_cast<char>(block[kType]);
  header->name = text(block + kName, kNameSize);
  // GNU's own magic, "ustar  ", has times in the prefix's place.
  if (std::memcmp(block + kMagic, "ustar", 6) == 0) {
    const bool is_star = std::memcmp(block + kStarMagic, "tar", 4) == 0;
    const std::string_view prefix = text(block + kPrefix, is_star ? kStarPrefixSize : kPrefixSize);
    if (!prefix.empty()) header->name = std::string(prefix) + "/" + header->name;
  }
  return {};
}

bool read_pax_records(std::string_view text, std::map<std::string, std::string>* records) {
  while (!text.empty() && text.front() != '\0') {  // some pad with zeros
    size_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    const size_t digits = static_cast<size_t>(end - text.data());
    if (error != std::errc() || length <= digits + 1 || length > text.size() || *end != ' ') return false;
    if (text[length - 1] != '\n') return false;
    const std::string_view record = text.substr(digits + 1, length - digits - 2);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos || equals == 0) return false;
    const std::string key(record.substr(0, equals));
    if (equals + 1 == record.size()) {
      records->erase(key);
    } else {
      (*records)[key] = record.substr(equals + 1);
    }
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace fastload::shards
