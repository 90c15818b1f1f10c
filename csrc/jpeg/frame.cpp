#include "jpeg/frame.h"

#include <algorithm>
#include <cstring>

namespace fastload::jpeg {

namespace {

constexpr int32_t kSide = 8;
constexpr uint8_t kDht = 0xC4, kDqt = 0xDB, kDri = 0xDD, kSos = 0xDA, kApp0 = 0xE0, kApp14 = 0xEE, kBaseline = 0xC0, kExtended = 0xC1;
constexpr size_t kJfifBytes = 14, kAdobeBytes = 12;

int32_t big_endian_16(const uint8_t* bytes) { return bytes[0] * 256 + bytes[1]; }

int32_t divided_up(int32_t a, int32_t b) { return (a + b - 1) / b; }

// Of MCUs along an axis of which `count` samples at `ratio` to one of chroma, `size` in all, are wanted from `at` on. Where chroma is
// halved, the sample beside each counts too.
struct Range {
  int32_t begin;
  int32_t end;
};
Range mcus(int32_t at, int32_t count, int32_t ratio, int32_t size) {
  const int32_t beside = ratio > 1 ? 1 : 0;
  const int32_t first = std::max(0, at / ratio - beside);
  const int32_t last = std::min(size - 1, (at + count - 1) / ratio + beside);
  return {first / kSide, last / kSide + 1};
}

}  // namespace

Coefficients planes_of(const PlaneShape* shapes, int32_t count, Box window) {
  const PlaneShape& smallest = shapes[count - 1];
  const Range across = mcus(window.x, window.width, shapes[0].across, smallest.width);
  const Range down = mcus(window.y, window.height, shapes[0].down, smallest.height);
  Coefficients wanted;
  wanted.count = count;
  for (int32_t i = 0; i < count; ++i) {
    Plane& plane = wanted.planes[i];
    plane.x = across.begin * shapes[i].across * kSide;
    plane.y = down.begin * shapes[i].down * kSide;
    plane.columns = (across.end - across.begin) * shapes[i].across;
    plane.rows = (down.end - down.begin) * shapes[i].down;
    plane.width = shapes[i].width;
    plane.height = shapes[i].height;
  }
  return wanted;
}

Coefficients Frame::planes(Box window) const {
  PlaneShape shapes[kMaxPlanes];
  const FrameComponent& first = components[0];
  for (int32_t i = 0; i < count; ++i) {
    const FrameComponent& one = components[i];
    shapes[i] = {one.across, one.down, divided_up(width * one.across, first.across), divided_up(height * one.down, first.down)};
  }
  return planes_of(shapes, count, window);
}

bool Frame::read(const EntryRecord& record) {
  *this = Frame();
  const ByteSpan header = record.header();
  bool is_scan = false;
  size_t at = 2;
  if (header.size < 4) return false;
  while (at < header.size) {
    if (is_scan || header.size - at < 4 || header.data[at] != 0xFF) return false;
    const uint8_t marker = header.data[at + 1];
    const auto length = static_cast<size_t>(big_endian_16(header.data + at + 2));
    if (length < 2 || length > header.size - at - 2) return false;
    const ByteSpan segment = {header.data + at + 4, length - 2};
    const size_t begin = at + 4, end = at + 2 + length;
    at = end;
    bool is_read = true;
    switch (marker) {
      case kBaseline:
      case kExtended: is_read = read_frame(segment); break;
      case kDqt: is_read = read_quantizers(header, begin, end); break;
      case kDht: is_read = read_tables(header, begin, end); break;
      case kDri:
        is_read = segment.size == 2;
        if (is_read) restart_interval = big_endian_16(segment.data);
        break;
      case kSos: is_read = is_scan = read_scan(segment); break;
      case kApp0: is_jfif_ |= segment.size >= kJfifBytes && std::memcmp(segment.data, "JFIF", 5) == 0; break;
      case kApp14:
        if (segment.size < kAdobeBytes || std::memcmp(segment.data, "Adobe", 5) != 0) break;
        is_adobe_ = true;
        adobe_transform_ = segment.data[11];
        break;
      default: is_read = false;
    }
    if (!is_read) return false;
  }
  const ScanLayout& layout = record.layout();
  const int32_t across = count == 1 ? kSide : kSide * components[0].across, down = count == 1 ? kSide : kSide * components[0].down;
  return is_scan && is_ycc() && width == layout.width && height == layout.height && count == layout.components &&
         layout.mcus_per_row == divided_up(width, across) && layout.mcu_rows == divided_up(height, down);
}

bool Frame::read_frame(ByteSpan segment) {
  if (is_framed_ || segment.size < 6 || segment.data[0] != 8) return false;
  is_framed_ = true;
  height = big_endian_16(segment.data + 1);
  width = big_endian_16(segment.data + 3);
  count = segment.data[5];
  if (width == 0 || height == 0 || (count != 1 && count != kMaxPlanes)) return false;
  if (segment.size != 6 + 3 * static_cast<size_t>(count)) return false;
  for (int32_t i = 0; i < count; ++i) {
    const uint8_t* const one = segment.data + 6 + 3 * i;
    ids_[i] = one[0];
    components[i].across = one[1] >> 4;
    components[i].down = one[1] & 15;
    quantizer_of_[i] = one[2];
    if (one[2] > 3 || components[i].across < 1 || components[i].down < 1 || components[i].across > 4 || components[i].down > 4) return false;
    for (int32_t before = 0; before < i; ++before) {
      if (ids_[before] == ids_[i]) return false;
    }
    if (i > 0 && (components[i].across != 1 || components[i].down != 1)) return false;
  }
  FrameComponent& first = components[0];
  if (count == 1) {  // MCUs of one block, whatever the factors
    first.across = first.down = 1;
    return true;
  }
  sampling = 10 * first.across + first.down;
  if (first.across > 2 || first.down > 2) return false;
  return first.across == 1 || divided_up(width, 2) > 2;  // libjpeg repeats the samples of narrower ones
}

bool Frame::read_quantizers(ByteSpan header, size_t at, size_t end) {
  while (at < end) {
    const uint8_t kind = header.data[at++];
    const bool is_wide = (kind >> 4) != 0;
    const size_t bytes = is_wide ? 2 * kBlockSize : kBlockSize;
    if (kind >> 4 > 1 || (kind & 15) > 3 || end - at < bytes) return false;
    quantizers_[kind & 15] = static_cast<uint32_t>(at);
    are_wide_[kind & 15] = is_wide;
    at += bytes;
  }
  return true;
}

bool Frame::read_tables(ByteSpan header, size_t at, size_t end) {
  constexpr size_t kLengths = 16;
  while (at < end) {
    const uint8_t kind = header.data[at++];
    if (kind >> 4 > 1 || (kind & 15) > 3 || end - at < kLengths) return false;
    size_t symbols = 0;
    uint32_t code = 0;
    for (size_t i = 0; i < kLengths; ++i) {
      symbols += header.data[at + i];
      code = 2 * code + header.data[at + i];
      if (code >= uint32_t{2} << i) return false;  // no code is all ones
    }
    if (symbols > 256 || end - at - kLengths < symbols) return false;
    for (size_t i = 0; i < symbols && kind >> 4 == 0; ++i) {
      if (header.data[at + kLengths + i] > 15) return false;
    }
    tables_[kind >> 4][kind & 15] = static_cast<uint32_t>(at);
    at += kLengths + symbols;
  }
  return true;
}

// Baseline: all components in order, all coefficients at once, chroma with tables in common.
bool Frame::read_scan(ByteSpan segment) {
  if (!is_framed_ || segment.size != 4 + 2 * static_cast<size_t>(count) || segment.data[0] != count) return false;
  const uint8_t* const end = segment.data + 1 + 2 * count;
  if (end[0] != 0 || end[1] != kBlockSize - 1 || end[2] != 0) return false;
  uint8_t chroma = 0;
  for (int32_t i = 0; i < count; ++i) {
    const uint8_t* const one = segment.data + 1 + 2 * i;
    const uint8_t numbers = one[1];
    if (one[0] != ids_[i] || numbers >> 4 > 3 || (numbers & 15) > 3) return false;
    if (i == 1) chroma = numbers;
    if (i == 2 && numbers != chroma) return false;
    const int pair = i == 0 ? 0 : 2;
    codes[pair] = tables_[0][numbers >> 4];
    codes[pair + 1] = tables_[1][numbers & 15];
    components[i].quantizers = quantizers_[quantizer_of_[i]];
    components[i].is_wide = are_wide_[quantizer_of_[i]];
    if (codes[pair] == 0 || codes[pair + 1] == 0 || components[i].quantizers == 0) return false;
  }
  return true;
}

// As libjpeg takes it.
bool Frame::is_ycc() const {
  if (count == 1 || is_jfif_) return true;
  if (is_adobe_) return adobe_transform_ == 1;
  return !(ids_[0] == 'R' && ids_[1] == 'G' && ids_[2] == 'B');
}

}  // namespace fastload::jpeg
