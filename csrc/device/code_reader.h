// device/code_reader.h: the bits of an image's codes, as they lie in its file, one after the other, without the stuffing.
//
// It stops before the first marker, and there is one behind all codes: from there on it gives zeros, and says that these are none.
#pragma once

#include "device/image_work.h"

namespace fastload::device {

#if defined(__CUDACC__)
FASTLOAD_DEVICE uint32_t shifted_down(uint32_t word, int by) { return __funnelshift_rc(word, 0, by); }          // by 0 to 32
FASTLOAD_DEVICE uint32_t shifted_up(uint32_t word, int by) { return __funnelshift_lc(0, word, by); }            // by 0 to 32
FASTLOAD_DEVICE uint32_t shifted_in(uint32_t top, uint32_t rest, int by) { return __funnelshift_l(rest, top, by); }  // by 0 to 31
FASTLOAD_DEVICE uint32_t reversed(uint32_t word) { return __byte_perm(word, 0, 0x0123); }
FASTLOAD_DEVICE uint32_t unaligned(uint32_t low, uint32_t high, int bytes) { return __funnelshift_r(low, high, 8 * bytes); }
FASTLOAD_DEVICE uint32_t word_at(const uint8_t* words, uint32_t number) { return __ldg(reinterpret_cast<const uint32_t*>(words) + number); }
#else
inline uint32_t shifted_down(uint32_t word, int by) { return by > 31 ? 0 : word >> by; }
inline uint32_t shifted_up(uint32_t word, int by) { return by > 31 ? 0 : word << by; }
inline uint32_t shifted_in(uint32_t top, uint32_t rest, int by) {
  return static_cast<uint32_t>(((static_cast<uint64_t>(top) << 32 | rest) << by) >> 32);
}
inline uint32_t reversed(uint32_t word) { return __builtin_bswap32(word); }
inline uint32_t unaligned(uint32_t low, uint32_t high, int bytes) {
  return static_cast<uint32_t>((static_cast<uint64_t>(high) << 32 | low) >> (8 * bytes));
}
inline uint32_t word_at(const uint8_t* words, uint32_t number) {
  uint32_t word;
  __builtin_memcpy(&word, words + size_t{4} * number, sizeof word);
  return word;
}
#endif

// Whether one of the four bytes is FF.
FASTLOAD_DEVICE bool has_ff(uint32_t word) {
  const uint32_t inverse = ~word;
  return ((inverse - 0x01010101u) & word & 0x80808080u) != 0;
}

struct CodeReader {
  static constexpr uint32_t kNowhere = 0xFFFFFFFFu;

  const uint8_t* codes;
  uint32_t size;        // of them; the marker lies behind
  uint32_t at;          // of the next byte that is not here
  uint32_t top, rest;   // the next bits, zeros behind them
  int count;            // of them
  int missing;          // of these the last, which are none

  // Bytes of an image's codes, from one of their bits on; a place outside is taken for the end.
  FASTLOAD_DEVICE void start(const uint8_t* from, uint32_t bytes, uint32_t byte, int bit) {
    codes = from;
    size = bytes;
    at = byte < bytes ? byte : bytes;
    top = rest = 0;
    count = missing = 0;
    refill();
    drop(bit);
  }

  // The four bytes from `at` on, the first on top.
  FASTLOAD_DEVICE uint32_t word() const {
    const uint32_t place = at < size ? at : size;
    return reversed(unaligned(word_at(codes, place >> 2), word_at(codes, (place >> 2) + 1), static_cast<int>(place & 3)));
  }

  // At most 32 are here; others come behind them.
  FASTLOAD_DEVICE void append(uint32_t bits, int more) {
    top |= shifted_down(bits, count);
    rest = shifted_up(bits, 32 - count);
    count += more;
  }

  // Afterwards there are 33 at least.
  FASTLOAD_DEVICE void refill() {
    while (count <= 32) {
      const uint32_t next = word();
      if (!has_ff(next)) {
        append(next, 32);
        at += 4;
      } else {
        append_stuffed(next);
      }
    }
  }

  FASTLOAD_DEVICE void append_stuffed(uint32_t next) {
    uint32_t kept = 0, used = 0;
    int bits = 0;
    bool goes_on = true;
    FASTLOAD_UNROLLED
    for (int i = 0; i < 4; ++i) {
      if (!goes_on || i < static_cast<int>(used)) continue;  // … or a stuffed zero
      const uint32_t byte = next >> (24 - 8 * i) & 255;
      if (byte == 255) {
        goes_on = i < 3 && (next >> (16 - 8 * least(i, 2)) & 255) == 0;
        if (!goes_on) continue;
      }
      kept |= byte << 24 >> bits;
      bits += 8;
      used = static_cast<uint32_t>(i) + (byte == 255 ? 2 : 1);
    }
    at += used;
    const bool is_marker = bits == 0;
    append(kept, is_marker ? 32 : bits);
    if (is_marker) missing += 32;
  }

  // Up to 31 bits.
  FASTLOAD_DEVICE void drop(int bits) {
    top = shifted_in(top, rest, bits);
    rest <<= bits;
    count -= bits;
  }

  // Of the byte that ends before `behind`.
  FASTLOAD_DEVICE uint32_t before(uint32_t behind) const {
    const uint32_t last = behind - 1;
    return last > 0 && codes[last] == 0 && codes[last - 1] == 255 ? last - 1 : last;
  }

  // Of the next bit; kNowhere behind the codes.
  FASTLOAD_DEVICE uint32_t position() const {
    int left = count - missing;
    if (left < 0) return kNowhere;
    uint32_t byte = at;
    for (; left >= 8 && byte > 0; left -= 8) byte = before(byte);
    if (left == 0 || byte == 0) return 8 * byte;
    return 8 * before(byte) + 8 - static_cast<uint32_t>(left);
  }

  // Past the restart marker of that number, which must come next but for the rest of a byte.
  FASTLOAD_DEVICE bool pass_restart(int number) {
    const int left = count - missing;
    if (left < 0 || left >= 8 || at + 2 > size) return false;
    if (codes[at] != 255 || codes[at + 1] != 0xD0 + (number & 7)) return false;
    at += 2;
    top = rest = 0;
    count = missing = 0;
    return true;
  }
};

}  // namespace fastload::device
