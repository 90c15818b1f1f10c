#include "jpeg/segments.h"

#include <cstring>

namespace fastload::jpeg {

namespace {

constexpr uint8_t kSoi = 0xD8, kEoi = 0xD9, kSos = 0xDA, kRst0 = 0xD0;
constexpr size_t kBlock = 256;  // bytes looked at between two branches

uint32_t big_endian_16(const uint8_t* bytes) { return bytes[0] * 256u + bytes[1]; }

uint32_t big_endian_32(const uint8_t* bytes) { return big_endian_16(bytes) << 16 | big_endian_16(bytes + 2); }

template <size_t N>
bool starts_with(ByteSpan segment, const char (&word)[N]) {
  return segment.size >= N - 1 && std::memcmp(segment.data, word, N - 1) == 0;
}

// Pillow walks Photoshop's resource blocks; a segment that ends between a block's code and its name is an IndexError.
bool photoshop_blocks_end(ByteSpan segment) {
  size_t at = sizeof("Photoshop 3.0");
  while (at + 4 <= segment.size && std::memcmp(segment.data + at, "8BIM", 4) == 0) {
    at += 4 + 2;
    if (at > segment.size) return true;
    if (at == segment.size) return false;
    at += 1u + segment.data[at];
    at += at & 1;
    if (at + 4 > segment.size) return true;
    at += 4 + static_cast<size_t>(big_endian_32(segment.data + at));
    at += at & 1;
  }
  return true;
}

// Pillow takes the resolution out of EXIF, and one that is not a fraction can be an IndexError.
bool plain_exif(ByteSpan segment) {
  constexpr size_t kTiff = sizeof("Exif\0"), kTiffHeader = 8, kEntry = 12;
  constexpr uint32_t kXResolution = 0x011A, kRational = 5;
  if (segment.size < kTiff + kTiffHeader) return false;
  const ByteSpan tiff = {segment.data + kTiff, segment.size - kTiff};
  const bool little = std::memcmp(tiff.data, "II*\0", 4) == 0;
  if (!little && std::memcmp(tiff.data, "MM\0*", 4) != 0) return false;
  const auto read_16 = [&](size_t at) { return tiff.data[at + little] * 256u + tiff.data[at + !little]; };
  const size_t directory = little ? read_16(6) << 16 | read_16(4) : read_16(4) << 16 | read_16(6);
  if (directory > tiff.size - 2) return false;
  const size_t entries = read_16(directory);
  if (entries * kEntry > tiff.size - 2 - directory) return false;
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * kEntry;
    if (read_16(entry) == kXResolution && read_16(entry + 2) != kRational) return false;
  }
  return true;
}

bool plain_application_data(uint8_t marker, ByteSpan segment) {
  switch (marker) {
    case 0xE0: return !starts_with(segment, "JFIF") || segment.size >= 7;
    case 0xE1: return !starts_with(segment, "Exif\0\0") || plain_exif(segment);
    case 0xE2: return !starts_with(segment, "ICC_PROFILE\0") || segment.size >= 14;
    case 0xED: return !starts_with(segment, "Photoshop 3.0\0") || photoshop_blocks_end(segment);
    case 0xEE: return !starts_with(segment, "Adobe") || segment.size >= 7;
    default: return true;
  }
}

// Baseline, extended and progressive. Arithmetic coding is Pillow's, which refuses such files above 64 KB.
bool is_frame(uint8_t marker) { return marker >= 0xC0 && marker <= 0xC2; }

bool plain_frame(ByteSpan segment) {
  return segment.size >= 6 && segment.data[0] == 8 &&
         (segment.data[5] == 1 || segment.data[5] == 3 || segment.data[5] == 4);
}

// True at a marker other than a restart marker; `bytes` has one byte more to read.
bool is_marker(const uint8_t* bytes) { return bytes[0] == 0xFF && bytes[1] != 0 && (bytes[1] & 0xF8) != kRst0; }

// Whether any of kBlock bytes may begin one, or a restart marker: as masks, which compile to 16 bytes an instruction. 110 KB take 2 us,
// bytewise 33.
bool any_marker(const uint8_t* bytes) {
  uint8_t found = 0;
  for (size_t i = 0; i < kBlock; ++i) found |= static_cast<uint8_t>((bytes[i] == 0xFF ? 0xFF : 0) & bytes[i + 1]);
  return found != 0;
}

// The first marker from `at` on; if there is none, the last byte or what lies behind it.
size_t find_marker(ByteSpan bytes, size_t at) {
  for (; at + kBlock < bytes.size; at += kBlock) {
    if (!any_marker(bytes.data + at)) continue;
    for (size_t i = 0; i < kBlock; ++i) {
      if (is_marker(bytes.data + at + i)) return at + i;
    }
  }
  while (at + 1 < bytes.size && !is_marker(bytes.data + at)) ++at;
  return at;
}

}  // namespace

Segments read_segments(ByteSpan bytes, Scan* scan) {
  if (bytes.size < 4 || bytes.data[0] != 0xFF || bytes.data[1] != kSoi) return Segments::other;
  bool framed = false, has_exif = false;
  size_t at = 2;
  while (at + 4 <= bytes.size && bytes.data[at] == 0xFF) {
    const uint8_t marker = bytes.data[at + 1];
    const size_t length = big_endian_16(bytes.data + at + 2);
    at += 2;
    if (length < 2) return Segments::other;
    if (length > bytes.size - at) return Segments::cut;
    const ByteSpan segment = {bytes.data + at + 2, length - 2};
    at += length;
    if (marker == kSos) {
      scan->begin = at;
      return framed ? Segments::plain : Segments::other;
    }
    if (is_frame(marker)) {
      if (framed || !plain_frame(segment)) return Segments::other;
      framed = true;
      scan->samples = size_t{big_endian_16(segment.data + 1)} * big_endian_16(segment.data + 3) * segment.data[5];
    } else if (marker >= 0xE0 && marker <= 0xEF) {
      const bool is_exif = marker == 0xE1 && starts_with(segment, "Exif\0\0");
      if (!plain_application_data(marker, segment) || (is_exif && has_exif)) return Segments::other;
      has_exif |= is_exif;
    } else if (marker != 0xC4 && marker != 0xDB && marker != 0xDD && marker != 0xFE) {
      return Segments::other;  // neither a table (DHT, DQT, DRI) nor a comment
    }
  }
  return at + 4 > bytes.size ? Segments::cut : Segments::other;
}

bool copy_tables(ByteSpan bytes, size_t scan, std::vector<uint8_t>* out) {
  out->assign(bytes.data, bytes.data + 2);
  for (size_t at = 2; at + 4 <= scan;) {
    const uint8_t marker = bytes.data[at + 1];
    const size_t size = 2 + big_endian_16(bytes.data + at + 2);
    const ByteSpan data = {bytes.data + at + 4, size - 4};
    const bool is_table = marker == kSos || is_frame(marker) || marker == 0xC4 || marker == 0xDB || marker == 0xDD;
    const bool is_colour = (marker == 0xE0 && starts_with(data, "JFIF")) || (marker == 0xEE && starts_with(data, "Adobe"));
    if (is_table || is_colour) out->insert(out->end(), bytes.data + at, bytes.data + at + size);
    at += size;
  }
  return out->size() <= kMostTables;
}

ScanEnd find_scan_end(ByteSpan bytes, size_t scan) {
  const size_t at = find_marker(bytes, scan);
  if (at + 1 >= bytes.size) return ScanEnd::none;
  return bytes.data[at + 1] == kEoi ? ScanEnd::eoi : ScanEnd::marker;
}

bool find_image_end(ByteSpan bytes, size_t* at) {
  for (;;) {
    *at = find_marker(bytes, *at);
    if (*at + 2 > bytes.size) return false;
    const uint8_t marker = bytes.data[*at + 1];
    if (marker == kEoi) return true;
    if (*at + 4 > bytes.size) return false;
    const bool has_length = marker >= 0xC0 && marker != 0xFF && marker != kSoi;
    *at += has_length ? 2 + big_endian_16(bytes.data + *at + 2) : 1;
  }
}

}  // namespace fastload::jpeg
