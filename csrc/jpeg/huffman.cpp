#include "jpeg/huffman.h"

#include <jerror.h>

#include <algorithm>
#include <cstring>

#include "jpeg/codec.h"

// The beginning of what libjpeg declares in its private jpegint.h, the same in all its releases.
struct jpeg_entropy_decoder {
  void (*start_pass)(j_decompress_ptr);
  boolean (*decode_mcu)(j_decompress_ptr, JBLOCKROW*);
};

// What is in the hot loop must be compiled for the processor of the function that it is called from.
#define FASTLOAD_HOT __attribute__((always_inline)) inline

namespace fastload::jpeg {

namespace {

// Most that one MCU can ask for is 10 blocks x 64 symbols x 31 bits; whether there was as much is looked at behind each.
constexpr size_t kZerosBehind = 4096;
constexpr int kSixteenZeros = 0xF0;

// Where the k-th coefficient of a scan belongs. A damaged run may lead up to 15 places too far.
constexpr uint8_t kNaturalOrder[DCTSIZE2 + 16] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,
    6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31,
    39, 46, 53, 60, 61, 54, 47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63};

// The coefficient that `size` bits stand for (T.81, F.2.2.1).
int extend(int bits, int size) { return bits + (((bits >> (size - 1)) - 1) & (1 - (1 << size))); }

// The values of `size` bits, of which the first `known` ones are looked up, and more of them if there are: a base for each, to which
// the other bits are added.
struct Bases {
  Bases(int known, int size) : low_bits(std::max(size - known, 0)), others(std::max(known - size, 0)) {
    if (size > 0) negative_below = 1 << (known - 1), least = 1 - (1 << size);
  }
  int operator[](int looked_up) const {
    return (looked_up << low_bits >> others) + (looked_up < negative_below ? least : 0);
  }

  int low_bits;
  int others;  // that are no part of it
  int negative_below = 0;
  int least = 0;
};

}  // namespace

bool has_entropy(Entropy entropy) {
#if defined(__x86_64__)
  return entropy != Entropy::bmi2 || __builtin_cpu_supports("bmi2");
#else
  return entropy != Entropy::bmi2;
#endif
}

Entropy best_entropy() { return has_entropy(Entropy::bmi2) ? Entropy::bmi2 : Entropy::portable; }

FASTLOAD_HOT void Huffman::Bits::refill() {
  uint64_t word;
  std::memcpy(&word, next, sizeof word);
  count &= 63;
  buffer |= __builtin_bswap64(word) >> count;
  next += (63 - count) >> 3;
  count |= 56;
}

FASTLOAD_HOT void Huffman::Bits::drop(unsigned n) {
  buffer <<= n & 63;
  count -= n;
}

FASTLOAD_HOT uint32_t Huffman::Bits::low(int bits, int n) const {
  return static_cast<uint32_t>(buffer >> (-bits & 63)) & ((uint32_t{1} << n) - 1);
}

FASTLOAD_HOT int Huffman::Bits::take_signed(int n) {
  const int value = extend(static_cast<int>(buffer >> (64 - n)), n);
  drop(n);
  return value;
}

void Huffman::Table::make(const JHUFF_TBL& from, bool is_dc) {
  if (is_made && std::memcmp(lengths, from.bits, sizeof lengths) == 0 &&
      std::memcmp(symbols, from.huffval, sizeof symbols) == 0) {
    return;
  }
  std::memcpy(lengths, from.bits, sizeof lengths);
  std::memcpy(symbols, from.huffval, sizeof symbols);
  std::memset(codes, 0, sizeof codes);
  int32_t code = 0, number = 0;
  for (int length = 1; length <= kCodeBits; ++length, code <<= 1) {
    first_symbol[length] = number - code;
    for (int i = 0; i < lengths[length]; ++i, ++code, ++number) {
      if (length > kOne) continue;
      const Code found = {symbols[number], static_cast<uint8_t>(length)};
      const int rest = kOne - length;
      for (int low = 0; low < 1 << rest; ++low) codes[code << rest | low] = found;
    }
    last_code[length] = lengths[length] > 0 ? code - 1 : -1;
  }
  if (is_dc) {
    make_differences();
  } else {
    make_steps();
  }
  is_made = true;
}

void Huffman::Table::make_differences() {
  for (int begin = 0, count; begin < 1 << kStep; begin += count) {
    const Code next = codes[begin >> (kStep - kOne)];
    const int known = kStep - next.length;
    count = next.length == 0 ? 1 << (kStep - kOne) : 1 << known;
    const Bases bases(known, next.symbol);
    Difference difference = {};
    if (next.length != 0) difference.bits = static_cast<uint8_t>(next.length + next.symbol);
    difference.low_bits = static_cast<uint8_t>(bases.low_bits);
    for (int i = 0; i < count; ++i) {
      difference.base = static_cast<int16_t>(bases[i]);
      differences[begin + i] = difference;
    }
  }
}

void Huffman::Table::make_steps() {
  constexpr uint32_t kMask = (1 << kStep) - 1;
  Step alone[1 << kStep];  // of one code each
  for (int begin = 0, count; begin < 1 << kStep; begin += count) {
    const Code next = codes[begin >> (kStep - kOne)];
    const int known = kStep - next.length, size = next.symbol & 15, zeros = next.symbol >> 4;
    count = next.length == 0 ? 1 << (kStep - kOne) : 1 << known;
    const Bases bases(known, size);
    Step step = {0, 0, 0, 0, kNothing, 0, 0};
    if (next.length != 0 && size == 0 && next.symbol != kSixteenZeros) {
      step.bits = static_cast<uint8_t>(next.length | kEnd);
      step.advance = 0;
    } else if (next.length != 0) {
      step.bits = static_cast<uint8_t>(next.length + size);
      step.low_bits = static_cast<uint8_t>(bases.low_bits);
      step.first_at = step.second_at = static_cast<uint8_t>(zeros);
      step.advance = static_cast<uint8_t>(zeros + 1);
    }
    for (int i = 0; i < count; ++i) {
      step.second = static_cast<int16_t>(bases[i]);
      alone[begin + i] = step;
    }
  }
  for (uint32_t index = 0; index <= kMask; ++index) {
    Step& step = steps[index];
    step = alone[index];
    if (step.bits >= kStep || step.advance == kNothing) continue;
    // Of what follows, bits that are unknown are zeros here, as in a base.
    const int used = step.bits;
    const uint32_t rest = index << used & kMask;
    const Step& second = alone[rest];
    if (second.advance == kNothing || used + codes[rest >> (kStep - kOne)].length > kOne) continue;
    step.bits = static_cast<uint8_t>(used + second.bits);
    if (second.bits & kEnd) continue;
    step.low_bits = static_cast<uint8_t>(std::max(used + second.bits - kStep, 0));
    step.first = static_cast<int8_t>(step.second);
    step.second = second.second;
    step.second_at = static_cast<uint8_t>(step.advance + second.second_at);
    step.advance = static_cast<uint8_t>(step.advance + second.advance);
    if (step.bits >= kStep) continue;
    const Step& end = alone[index << step.bits & kMask];
    if ((end.bits & kEnd) == 0 || step.bits + (end.bits & (kEnd - 1)) > kStep) continue;
    step.bits = static_cast<uint8_t>(step.bits + end.bits);
  }
}

FASTLOAD_HOT Huffman::Code Huffman::Table::code(uint64_t bits) const {
  const Code found = codes[bits >> (64 - kOne)];
  if (found.length != 0) return found;
  for (int length = kOne + 1; length <= kCodeBits; ++length) {
    const int32_t code = static_cast<int32_t>(bits >> (64 - length));
    if (code <= last_code[length]) return {symbols[first_symbol[length] + code], static_cast<uint8_t>(length)};
  }
  return {0, 0};
}

// What no single step gives: a code of more than kOne bits, and the last place of a block, which ends it without a code.
template <bool kStore>
FASTLOAD_HOT Huffman::Stand Huffman::long_step(Bits* in, const Table& table, JCOEF* out, int* k) {
  in->refill();
  const Code next = table.code(in->buffer);
  if (next.length == 0) return Stand::bad;
  in->drop(next.length);
  const int size = next.symbol & 15;
  if (size == 0) {
    if (next.symbol != kSixteenZeros) return Stand::behind;
    *k += 16;
  } else {
    *k += next.symbol >> 4;
    const int value = in->take_signed(size);
    if (kStore) out[kNaturalOrder[*k]] = static_cast<JCOEF>(value);
    ++*k;
  }
  in->refill();
  return *k < DCTSIZE2 ? Stand::within : Stand::behind;
}

// Takes no more than kOne bits and a value's. The next step waits for nothing but the number of bits that this one takes. It must be
// loaded first, for a processor begins with the oldest of the loads that are ready: compilers put it last, and a block of a photo took 62 ns
// in the place of 49. The asm is empty; nothing passes it.
template <bool kStore>
FASTLOAD_HOT Huffman::Stand Huffman::step(Bits* in, const Table& table, JCOEF* out, int* k) {
  uint64_t index = in->buffer >> (64 - kStep);
  uint64_t whole;  // its first byte is the lowest
  std::memcpy(&whole, &table.steps[index], sizeof whole);
  Bits after = *in;
  after.drop(static_cast<unsigned>(whole));
  asm volatile("" : "+r"(index), "+r"(after.buffer) : : "memory");
  const Step& found = table.steps[index];
  const int next = *k + found.advance;
  if (__builtin_expect(next >= DCTSIZE2, 0)) return long_step<kStore>(in, table, out, k);
  if (kStore) {
    out[kNaturalOrder[*k + found.first_at]] = found.first;
    out[kNaturalOrder[*k + found.second_at]] = static_cast<JCOEF>(found.second + in->low(found.bits, found.low_bits));
  }
  *k = next;
  *in = after;
  return whole & kEnd ? Stand::behind : Stand::within;
}

template <bool kStore>
FASTLOAD_HOT bool Huffman::decode_block(Bits* in, const Block& block, JCOEF* out) {
  in->refill();
  const Difference difference = block.dc->differences[in->buffer >> (64 - kStep)];
  if (__builtin_expect(difference.bits != 0, 1)) {
    *block.last_dc += static_cast<uint32_t>(difference.base) + in->low(difference.bits, difference.low_bits);
    in->drop(difference.bits);
  } else {
    const Code code = block.dc->code(in->buffer);
    if (code.length == 0) return false;
    in->drop(code.length);
    if (code.symbol != 0) *block.last_dc += static_cast<uint32_t>(in->take_signed(code.symbol));
  }
  if (kStore) out[0] = static_cast<JCOEF>(*block.last_dc);
  const Table& table = *block.ac;
  int k = 1;
  while (true) {  // two steps a refill, and one behind the DC difference
    const Stand first = step<kStore>(in, table, out, &k);
    if (first != Stand::within) return first == Stand::behind;
    in->refill();
    const Stand second = step<kStore>(in, table, out, &k);
    if (second != Stand::within) return second == Stand::behind;
  }
}

FASTLOAD_HOT bool Huffman::decode_blocks(int count, JBLOCKROW* out) {
  Bits in = bits_;
  int i = 0;
  if (out != nullptr) {
    while (i < count && decode_block<true>(&in, blocks_[i], out[i][0])) ++i;
  } else {  // rows that are skipped
    while (i < count && decode_block<false>(&in, blocks_[i], nullptr)) ++i;
  }
  bits_ = in;
  return i == count;
}

bool Huffman::decode_portably(int count, JBLOCKROW* out) { return decode_blocks(count, out); }

#if defined(__x86_64__)
__attribute__((target("bmi2"))) bool Huffman::decode_with_bmi2(int count, JBLOCKROW* out) {
  return decode_blocks(count, out);
}
#else
bool Huffman::decode_with_bmi2(int count, JBLOCKROW* out) { return decode_blocks(count, out); }
#endif

Huffman& Huffman::self(j_decompress_ptr libjpeg) { return static_cast<Codec*>(libjpeg->client_data)->huffman; }

boolean Huffman::decode_mcu(j_decompress_ptr libjpeg, JBLOCKROW* blocks) {
  Huffman& huffman = self(libjpeg);
  huffman.warn(libjpeg, huffman.read_blocks(libjpeg->blocks_in_MCU, blocks));
  return TRUE;
}

void Huffman::warn(j_decompress_ptr libjpeg, bool intact) {
  // What is no code shows at its 17th bit.
  if (position() + (intact ? 0 : kCodeBits + 1) > bits_in_all_) WARNMS(libjpeg, JWRN_HIT_MARKER);
  if (!intact) WARNMS(libjpeg, JWRN_HUFF_BAD_CODE);
}

void Huffman::LeftOut::clear() {
  zeros.clear();
  restarts.clear();
  next_restart = 0;
}

uint8_t* Huffman::unstuff(const uint8_t** from, const uint8_t* end, uint8_t* to, LeftOut* left_out) const {
  const uint8_t* next = *from;
  while (next < end) {
    const void* const found = std::memchr(next, 0xFF, static_cast<size_t>(end - next));
    const uint8_t* const stop = found == nullptr ? end : static_cast<const uint8_t*>(found);
    std::memcpy(to, next, static_cast<size_t>(stop - next));
    to += stop - next;
    next = stop;
    if (stop + 1 >= end) break;
    if (stop[1] == 0) {
      *to++ = 0xFF;
      if (left_out != nullptr) left_out->zeros.push_back(static_cast<uint32_t>(to - bytes_.data()));
    } else if (restart_interval_ != 0 && (stop[1] & 0xF8) == JPEG_RST0) {
      if (left_out != nullptr) left_out->restarts.push_back({static_cast<size_t>(to - bytes_.data()), stop[1] - JPEG_RST0});
    } else {
      break;
    }
    next = stop + 2;
  }
  *from = next;
  return to;
}

bool Huffman::pass_restart(int64_t number, LeftOut* left_out) {
  if (number == 0 || number % restart_interval_ != 0) return true;
  const unsigned rest = bits_.count & 7;  // of the byte; a reader has as many at least
  bits_.buffer <<= rest;
  bits_.count -= rest;
  std::memset(last_dc_, 0, sizeof last_dc_);
  if (left_out->next_restart >= left_out->restarts.size()) return false;
  const Restart& marker = left_out->restarts[left_out->next_restart++];
  return marker.at * 8 == position() && marker.number == static_cast<int>((number / restart_interval_ - 1) & 7);
}

bool Huffman::can_take_over(const jpeg_decompress_struct& libjpeg) const {
  return libjpeg.restart_interval == 0 && can_read(libjpeg);
}

bool Huffman::can_read(const jpeg_decompress_struct& libjpeg) const {
  if (entropy_ == Entropy::libjpeg || libjpeg.progressive_mode || libjpeg.arith_code) return false;
  if (jpeg_has_multiple_scans(const_cast<j_decompress_ptr>(&libjpeg)) || libjpeg.data_precision != 8) return false;
  for (int i = 0; i < libjpeg.comps_in_scan; ++i) {
    const jpeg_component_info& component = *libjpeg.cur_comp_info[i];
    if (libjpeg.dc_huff_tbl_ptrs[component.dc_tbl_no] == nullptr) return false;
    if (libjpeg.ac_huff_tbl_ptrs[component.ac_tbl_no] == nullptr) return false;
  }
  return true;
}

void Huffman::prepare(jpeg_decompress_struct* libjpeg) {
  for (int i = 0; i < libjpeg->comps_in_scan; ++i) {
    const jpeg_component_info& component = *libjpeg->cur_comp_info[i];
    dc_[component.dc_tbl_no].make(*libjpeg->dc_huff_tbl_ptrs[component.dc_tbl_no], true);  // libjpeg has checked them
    ac_[component.ac_tbl_no].make(*libjpeg->ac_huff_tbl_ptrs[component.ac_tbl_no], false);
  }
  for (int i = 0; i < libjpeg->blocks_in_MCU; ++i) {
    const int which = libjpeg->MCU_membership[i];
    const jpeg_component_info& component = *libjpeg->cur_comp_info[which];
    blocks_[i] = {&dc_[component.dc_tbl_no], &ac_[component.ac_tbl_no], &last_dc_[which]};
  }
  std::memset(last_dc_, 0, sizeof last_dc_);
  mcus_per_row_ = static_cast<int>(libjpeg->MCUs_per_row);
  mcu_rows_ = static_cast<int>(libjpeg->MCU_rows_in_scan);
  restart_interval_ = static_cast<int>(libjpeg->restart_interval);
}

void Huffman::hook(jpeg_decompress_struct* libjpeg, Hook hook) { libjpeg->entropy->decode_mcu = hook_ = hook; }

void Huffman::take_over(jpeg_decompress_struct* libjpeg) {
  prepare(libjpeg);
  const size_t size = libjpeg->src->bytes_in_buffer;
  const uint8_t* from = libjpeg->src->next_input_byte;
  uint8_t* const to = bytes_.reserve(size + kZerosBehind);
  uint8_t* const end = unstuff(&from, from + size, to, nullptr);
  std::memset(end, 0, kZerosBehind);
  bits_in_all_ = static_cast<size_t>(end - to) * 8;
  bits_ = {0, 0, to};
  hook(libjpeg, decode_mcu);
}

}  // namespace fastload::jpeg
