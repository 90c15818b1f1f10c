// device/code_tables.h: the Huffman tables of a JPEG as in its file -> look-ups of codes by the bits that come next.
#pragma once

#include "device/image_work.h"

namespace fastload::device {

constexpr int kDcLook = 9, kAcLook = 12;
constexpr int kTables = 4;  // DC and AC of luminance, then of chroma

// By length: the last code, -1: none, and what is added to a code for the number of its symbol.
struct CodeLengths {
  int32_t last[kTables][kCodeLengths + 1];
  int32_t first[kTables][kCodeLengths + 1];
};

struct CodeTables {
  uint16_t ac[2][1 << kAcLook];  // length x 256 + symbol; 0: a longer code, or none
  uint16_t dc[2][1 << kDcLook];
  CodeLengths lengths;
  uint8_t symbols[kTables][256];
};
constexpr int kLookBytes = 2 * 2 * ((1 << kAcLook) + (1 << kDcLook));

FASTLOAD_DEVICE const uint8_t* table_of(const ImageWork& work, const uint8_t* block, int table) {
  return block + work.codes.tables[table];
}

FASTLOAD_DEVICE int tables_of(const ImageWork& work) { return work.planes == 1 ? 2 : kTables; }

FASTLOAD_DEVICE void make_lengths(const uint8_t* lengths, int table, CodeLengths* out) {
  int code = 0, number = 0;
  for (int length = 1; length <= kCodeLengths; ++length, code <<= 1) {
    const int count = lengths[length - 1];
    out->first[table][length] = number - code;
    code += count;
    number += count;
    out->last[table][length] = count > 0 ? code - 1 : -1;
  }
}

// Of the codes of `from` to `to` bits the one that the top of these 32 bits is; 0: none.
FASTLOAD_DEVICE uint32_t found_code(const CodeLengths& lengths, const uint8_t* symbols, int table, uint32_t bits, int from, int to) {
  for (int length = from; length <= to; ++length) {
    const int code = static_cast<int>(bits >> (32 - length));
    if (code <= lengths.last[table][length]) {
      return static_cast<uint32_t>(length) << 8 | symbols[(lengths.first[table][length] + code) & 255];
    }
  }
  return 0;
}

FASTLOAD_DEVICE_APART uint32_t long_code(const CodeTables& tables, int table, uint32_t bits) {
  return found_code(tables.lengths, tables.symbols[table], table, bits, ((table & 1) != 0 ? kAcLook : kDcLook) + 1, kCodeLengths);
}

// The `thread`-th of so many does its part, once `lengths` and `symbols` (4 x 256) are there.
FASTLOAD_DEVICE void make_lookups(const CodeLengths& lengths, const uint8_t* symbols, int tables, int thread, int threads, CodeTables* out) {
  for (int table = 0; table < tables; ++table) {
    const int bits = (table & 1) != 0 ? kAcLook : kDcLook;
    uint16_t* const to = (table & 1) != 0 ? out->ac[table >> 1] : out->dc[table >> 1];
    for (int i = thread; i < 1 << bits; i += threads) {
      to[i] = static_cast<uint16_t>(found_code(lengths, symbols + 256 * table, table, static_cast<uint32_t>(i) << (32 - bits), 1, bits));
    }
    for (int i = thread; i < 256; i += threads) out->symbols[table][i] = symbols[256 * table + i];
    for (int i = 1 + thread; i <= kCodeLengths; i += threads) {
      out->lengths.last[table][i] = lengths.last[table][i];
      out->lengths.first[table][i] = lengths.first[table][i];
    }
  }
}

// Of a table in the file there are as many symbols as its lengths say, 256 at most.
FASTLOAD_DEVICE void copy_symbols(const uint8_t* table, int thread, int threads, uint8_t* out) {
  int count = 0;
  for (int i = 0; i < kCodeLengths; ++i) count += table[i];
  for (int i = thread; i < 256; i += threads) out[i] = i < count ? table[kCodeLengths + i] : 0;
}

}  // namespace fastload::device
