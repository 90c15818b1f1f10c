// jpeg/noting.cpp: all codes of a scan are read, and where every K-th MCU of each row begins is noted.
#include <algorithm>
#include <cstring>
#include <new>

#include "jpeg/codec.h"

namespace fastload::jpeg {

namespace {

constexpr size_t kZerosBehind = 4096;
// Places of bits have 32.
constexpr size_t kMostBytes = size_t{1} << 28;

}  // namespace

bool Huffman::note(jpeg_decompress_struct* libjpeg, int every) {
  const size_t size = libjpeg->src->bytes_in_buffer;
  if (size > kMostBytes || libjpeg->comps_in_scan > kMostComponents) return false;
  prepare(libjpeg);
  Notes& notes = notes_;
  notes.every = every > 0 ? std::min(every, mcus_per_row_) : mcus_per_row_;
  notes.x = notes.y = notes.next_point = 0;
  notes.failed = false;
  notes.points.clear();
  notes.left_out.clear();
  try {
    notes.points.reserve(static_cast<size_t>((mcus_per_row_ + notes.every - 1) / notes.every) * static_cast<size_t>(mcu_rows_));
    uint8_t* const to = bytes_.reserve(size + kZerosBehind);
    const uint8_t* from = libjpeg->src->next_input_byte;
    uint8_t* const end = unstuff(&from, from + size, to, &notes.left_out);
    std::memset(end, 0, kZerosBehind);
    notes.scan_bytes = static_cast<uint32_t>(from - libjpeg->src->next_input_byte);
    bits_in_all_ = static_cast<size_t>(end - to) * 8;
    bits_ = {0, 0, to};
  } catch (const std::bad_alloc&) {  // pixels can be had with less
    return false;
  }
  hook(libjpeg, note_mcu);
  return true;
}

boolean Huffman::note_mcu(j_decompress_ptr libjpeg, JBLOCKROW* blocks) {
  Huffman& huffman = self(libjpeg);
  huffman.warn(libjpeg, huffman.note_next(libjpeg->blocks_in_MCU, blocks));
  return TRUE;
}

bool Huffman::note_next(int count, JBLOCKROW* blocks) {
  Notes& notes = notes_;
  if (restart_interval_ != 0 && !pass_restart(int64_t{notes.y} * mcus_per_row_ + notes.x, &notes.left_out)) return false;
  if (notes.x == notes.next_point) {
    notes.next_point += notes.every;
    EntryPoint point;
    point.bit = static_cast<uint32_t>(position());
    for (int i = 0; i < kMostComponents; ++i) {
      const auto dc = static_cast<int32_t>(last_dc_[i]);
      point.dc[i] = static_cast<int16_t>(dc);
      notes.failed |= point.dc[i] != dc;  // no picture has such
    }
    notes.points.push_back(point);  // for which there is room
  }
  if (++notes.x == mcus_per_row_) {
    notes.x = notes.next_point = 0;
    ++notes.y;
  }
  return read_blocks(count, blocks);
}

bool Huffman::note_rest(const jpeg_decompress_struct& libjpeg, ScanLayout* layout, uint32_t* end_bit) {
  while (notes_.y < mcu_rows_) {
    if (!note_next(libjpeg.blocks_in_MCU, nullptr) || position() > bits_in_all_) return false;
  }
  *end_bit = static_cast<uint32_t>(position());
  if (notes_.failed) return false;
  const LeftOut& left_out = notes_.left_out;
  if ((position() + 7) / 8 * 8 != bits_in_all_ || left_out.next_restart != left_out.restarts.size()) return false;
  if (libjpeg.src->next_input_byte[notes_.scan_bytes + 1] != JPEG_EOI) return false;  // a marker that does not belong there
  // From places among unstuffed bytes to those in the file: what was left out before them comes back.
  size_t zero = 0, restart = 0;
  const auto in_the_file = [&](uint32_t bit) {
    while (zero < left_out.zeros.size() && left_out.zeros[zero] <= bit / 8) ++zero;
    while (restart < left_out.restarts.size() && left_out.restarts[restart].at <= bit / 8) ++restart;
    return bit + 8 * static_cast<uint32_t>(zero + 2 * restart);
  };
  for (EntryPoint& point : notes_.points) point.bit = in_the_file(point.bit);
  *end_bit = in_the_file(*end_bit);
  layout->scan_bytes = notes_.scan_bytes;
  layout->width = static_cast<uint16_t>(libjpeg.image_width);
  layout->height = static_cast<uint16_t>(libjpeg.image_height);
  layout->every = static_cast<uint16_t>(notes_.every);
  layout->mcus_per_row = static_cast<uint16_t>(mcus_per_row_);
  layout->mcu_rows = static_cast<uint16_t>(mcu_rows_);
  layout->components = static_cast<uint8_t>(libjpeg.comps_in_scan);
  return true;
}

}  // namespace fastload::jpeg
