#include "io/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fastload::io {

namespace {

constexpr uint32_t kPolynomial = 0x82F63B78U;  // reflected

// kTables[k][b]: of byte b followed by k zeros, so that eight bytes are taken at once.
using Tables = std::array<std::array<uint32_t, 256>, 8>;

Tables make_tables() {
  Tables tables;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k)
    for (size_t byte = 0; byte < 256; ++byte)
      tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xff];
  return tables;
}

uint32_t by_table(ByteSpan bytes, uint32_t crc) {
  static const Tables tables = make_tables();
  const uint8_t* next = bytes.data;
  size_t left = bytes.size;
  for (; left >= 8; left -= 8, next += 8) {
    uint32_t mixed = 0;
    for (size_t i = 0; i < 4; ++i) mixed ^= tables[7 - i][next[i] ^ ((crc >> (8 * i)) & 0xff)];
    for (size_t i = 4; i < 8; ++i) mixed ^= tables[7 - i][next[i]];
    crc = mixed;
  }
  for (; left > 0; --left, ++next) crc = (crc >> 8) ^ tables[0][(crc ^ *next) & 0xff];
  return crc;
}

#if defined(__x86_64__)
// The instruction takes three times as long as it takes to begin the next: so three runs of bytes that follow each other are gone through
// at once, each of so many bytes, the long ones as long as there are so many.
constexpr size_t kLong = 4096, kShort = 256;

// What the CRC of some bytes becomes when zeros follow them. Linear: a table for each of its bytes.
class Zeros {
 public:
  explicit Zeros(size_t count) {
    const std::array<uint8_t, kLong> zeros = {};
    for (int bit = 0; bit < 32; ++bit) {
      const uint32_t shifted = by_table({zeros.data(), count}, uint32_t{1} << bit);
      for (uint32_t byte = 0; byte < 256; ++byte)
        if ((byte >> (bit % 8) & 1) != 0) tables_[static_cast<size_t>(bit / 8)][byte] ^= shifted;
    }
  }
  uint32_t operator()(uint32_t crc) const {
    return tables_[0][crc & 0xff] ^ tables_[1][(crc >> 8) & 0xff] ^ tables_[2][(crc >> 16) & 0xff] ^ tables_[3][crc >> 24];
  }

 private:
  std::array<std::array<uint32_t, 256>, 4> tables_ = {};
};

__attribute__((target("sse4.2"))) inline uint64_t add_word(uint64_t crc, const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return _mm_crc32_u64(crc, word);
}

template <size_t kRun>
__attribute__((target("sse4.2"))) uint32_t by_three(const uint8_t** next, size_t* left, uint32_t crc) {
  static const Zeros zeros(kRun);
  for (; *left >= 3 * kRun; *left -= 3 * kRun, *next += 3 * kRun) {
    uint64_t runs[3] = {crc, 0, 0};
    for (const uint8_t* at = *next; at < *next + kRun; at += 8) {
      runs[0] = add_word(runs[0], at);
      runs[1] = add_word(runs[1], at + kRun);
      runs[2] = add_word(runs[2], at + 2 * kRun);
    }
    crc = zeros(zeros(static_cast<uint32_t>(runs[0])) ^ static_cast<uint32_t>(runs[1])) ^ static_cast<uint32_t>(runs[2]);
  }
  return crc;
}

__attribute__((target("sse4.2"))) uint32_t by_sse42(ByteSpan bytes, uint32_t crc) {
  const uint8_t* next = bytes.data;
  size_t left = bytes.size;
  crc = by_three<kLong>(&next, &left, crc);
  crc = by_three<kShort>(&next, &left, crc);
  uint64_t wide = crc;
  for (; left >= 8; left -= 8, next += 8) wide = add_word(wide, next);
  crc = static_cast<uint32_t>(wide);
  for (; left > 0; --left, ++next) crc = _mm_crc32_u8(crc, *next);
  return crc;
}
#endif

}  // namespace

bool has_crc32c(Crc32c variant) {
#if defined(__x86_64__)
  if (variant == Crc32c::sse42) return __builtin_cpu_supports("sse4.2");
#endif
  return variant == Crc32c::table;
}

uint32_t crc32c(ByteSpan bytes, uint32_t before, Crc32c variant) {
#if defined(__x86_64__)
  if (variant == Crc32c::sse42) return ~by_sse42(bytes, ~before);
#endif
  (void)variant;
  return ~by_table(bytes, ~before);
}

uint32_t crc32c(ByteSpan bytes, uint32_t before) {
  static const Crc32c fastest = has_crc32c(Crc32c::sse42) ? Crc32c::sse42 : Crc32c::table;
  return crc32c(bytes, before, fastest);
}

}  // namespace fastload::io
