// jpeg/entering.cpp: a window's codes alone are read: each row is entered at the entry point before the window, and must end each
// interval between two points as the record says that the next one begins: at that bit, with those DC values.
#include <algorithm>
#include <cstring>
#include <new>

#include "jpeg/codec.h"

namespace fastload::jpeg {

namespace {

// One MCU may ask for more than there is; how much it was shows behind it.
constexpr size_t kRoomBehind = 4096;
constexpr size_t kZerosBehind = 64;

// Of the interval before the row's `number`-th entry point. Behind the last code of all there are no DC values.
EntryPoint end_of(const EntryRecord& record, int row, int number) {
  const ScanLayout& layout = record.layout();
  if (number < layout.per_row() || row + 1 < layout.mcu_rows) return record.point(row, number);
  EntryPoint end;
  end.bit = record.bit(row, number);
  return end;
}

}  // namespace

void Huffman::enter(jpeg_decompress_struct* libjpeg, const EntryRecord& record, ByteSpan codes, size_t codes_at, int begin,
                    int end) {
  prepare(libjpeg);
  Entrance& at = entrance_;
  at.record = record;
  at.codes = codes;
  at.codes_at = codes_at;
  at.begin = begin;
  at.end = end;
  at.x = at.y = 0;
  const ScanLayout& layout = record.layout();
  const bool fits = layout.mcus_per_row == mcus_per_row_ && layout.mcu_rows == mcu_rows_ &&
                    layout.components == libjpeg->comps_in_scan && begin >= 0 && begin < end && end <= mcus_per_row_;
  if (!fits) static_cast<Codec*>(libjpeg->client_data)->give_up(fastload::Code::not_native, "the entry points are another image's");
  at.ends.resize(static_cast<size_t>(layout.per_row()));
  bytes_.reserve(codes.size + kRoomBehind);
  hook(libjpeg, enter_mcu);
}

boolean Huffman::enter_mcu(j_decompress_ptr libjpeg, JBLOCKROW* blocks) {
  Huffman& huffman = self(libjpeg);
  Entrance& at = huffman.entrance_;
  const int x = at.x;
  const int count = libjpeg->blocks_in_MCU;
  bool intact = true;
  if (blocks != nullptr && x >= at.begin && x < at.end) {
    try {
      intact = (x != at.begin || huffman.enter_row(count)) && huffman.read_entered(x, count, blocks);
    } catch (const std::bad_alloc&) {  // for markers, of which there are few; libjpeg must not see it
      intact = false;
    }
  }
  if (!intact) {
    static_cast<Codec*>(libjpeg->client_data)->give_up(fastload::Code::not_native, "the codes do not fit their entry points");
  }
  if (++at.x == huffman.mcus_per_row_) {
    at.x = 0;
    ++at.y;
  }
  return TRUE;
}

// Row y up to the window's first MCU.
bool Huffman::enter_row(int count) {
  Entrance& at = entrance_;
  if (at.y >= mcu_rows_) return false;
  const int every = at.record.layout().every;
  const int first = at.begin / every, last = (at.end - 1) / every + 1;
  const EntryPoint point = at.record.point(at.y, first);
  const size_t codes_end = at.codes_at + at.codes.size;
  size_t from = point.bit / 8;
  if (from < at.codes_at) return false;
  uint8_t* to = bytes_.data();
  at.left_out.clear();
  for (int number = first + 1; number <= last; ++number) {
    EntryPoint next = end_of(at.record, at.y, number);
    const size_t until = next.bit / 8;
    if (until < from || until > codes_end) return false;
    const uint8_t* read = at.codes.data + (from - at.codes_at);
    const uint8_t* const end = at.codes.data + (until - at.codes_at);
    to = unstuff(&read, end, to, restart_interval_ != 0 ? &at.left_out : nullptr);
    if (read != end) return false;
    next.bit = static_cast<uint32_t>(to - bytes_.data()) * 8 + next.bit % 8;
    at.ends[static_cast<size_t>(number - first - 1)] = next;
    from = until;
  }
  if (from < codes_end) {  // a byte that the last interval may share with the next
    const uint8_t* const shared = at.codes.data + (from - at.codes_at);
    const bool is_shared = at.ends[static_cast<size_t>(last - first - 1)].bit % 8 != 0;
    if (is_shared && shared[0] == 0xFF && (from + 1 == codes_end || shared[1] != 0)) return false;  // it begins a marker
    *to++ = shared[0];
  }
  bits_in_all_ = static_cast<size_t>(to - bytes_.data()) * 8;
  std::memset(to, 0, kZerosBehind);

  // As refill() leaves it, but for the bits before the point.
  const int before = static_cast<int>(point.bit % 8);
  uint64_t word;
  std::memcpy(&word, bytes_.data(), sizeof word);
  bits_ = {__builtin_bswap64(word) << before, static_cast<unsigned>(56 - before), bytes_.data() + 7};
  for (int i = 0; i < kMostComponents; ++i) last_dc_[i] = static_cast<uint32_t>(int32_t{point.dc[i]});
  at.next_end = 0;
  at.interval_end = std::min((first + 1) * every, mcus_per_row_);
  for (int x = first * every; x < at.begin; ++x) {
    if (!read_entered(x, count, nullptr)) return false;
  }
  return true;
}

bool Huffman::stands_as(const EntryPoint& point, bool with_dc) const {
  bool is_so = position() == point.bit;
  for (int i = 0; with_dc && i < kMostComponents; ++i) is_so &= static_cast<int32_t>(last_dc_[i]) == point.dc[i];
  return is_so;
}

bool Huffman::read_entered(int x, int count, JBLOCKROW* blocks) {
  Entrance& at = entrance_;
  const int64_t number = int64_t{at.y} * mcus_per_row_ + x;
  LeftOut& left_out = at.left_out;
  // At an entry point it has been done: restarts that lie there end the interval before it.
  if (restart_interval_ != 0 && x % at.record.layout().every != 0 && !pass_restart(number, &left_out)) return false;
  if (!read_blocks(count, blocks)) return false;
  if (restart_interval_ != 0 && left_out.is_before(position())) return false;
  if (x + 1 == at.interval_end) {
    const bool at_the_end = number + 1 == int64_t{mcu_rows_} * mcus_per_row_;
    if (restart_interval_ != 0 && !at_the_end && !pass_restart(number + 1, &left_out)) return false;
    if (!stands_as(at.ends[at.next_end++], !at_the_end)) return false;
    at.interval_end = std::min(at.interval_end + at.record.layout().every, mcus_per_row_);
  }
  return position() <= bits_in_all_;
}

}  // namespace fastload::jpeg
