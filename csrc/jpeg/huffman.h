// jpeg/huffman.h: the coefficients of a baseline scan, in the place of libjpeg's own entropy decoder. Private to this room.
//
// Note [entropy decoding]
// Two thirds of decoding a photo is Huffman codes. libjpeg looks up a code, then fetches the bits of its coefficient, and looks for
// stuffed bytes whenever it fetches. Here the stuffing is taken out first, so that eight bytes are fetched without a branch, and one
// lookup of kPair bits gives up to two coefficients and the block's end: full decodes of 400 photos take 1.05 ms in the place of 1.29.
// Coefficients are exact by definition: whatever is not a plain scan is left to libjpeg, and what is damaged raises its warnings.
#pragma once

#include <cstdint>
#include <cstdio>

// clang-format off: jpeglib.h uses FILE and size_t without including them, so it comes last
#include <jpeglib.h>
// clang-format on

#include "buffer.h"
#include "jpeg/decode.h"

namespace fastload::jpeg {

class Huffman {
 public:
  void use(Entropy entropy) { entropy_ = entropy; }
  // See Buffer.
  void settle() { bytes_.settle(); }

  // For use after jpeg_start_decompress(): whether it can take over, from one baseline scan of all components, without restarts.
  bool can_take_over(const jpeg_decompress_struct& libjpeg) const;
  // If so, before the first row, in the Codec whose member this is. Apart from the question, since a third of what it costs to open
  // a file is in here, and some files are opened for their header alone.
  void take_over(jpeg_decompress_struct* libjpeg);

  // After take_over(), in the place of reading rows: the next MCU's blocks, into zeros; null: nowhere.
  void read_mcu(jpeg_decompress_struct* libjpeg, JBLOCKROW* blocks) { decode_mcu(libjpeg, blocks); }

 private:
  static constexpr int kOne = 9;        // bits that are looked up for one code
  static constexpr int kPair = 10;      // … for coefficients; with 11 the tables crowd the first cache
  static constexpr int kCodeBits = 16;  // of the longest code

  // What the next kOne bits begin with. `length` 0: a longer code, or none.
  struct Code {
    uint8_t symbol;
    uint8_t length;
  };

  // What the next kPair bits begin with: coefficients, of which the second may be none (0, where zeros are already), or both. No
  // `bits`: nothing that is here as a whole.
  struct Pair {
    int16_t first;
    int16_t second;
    uint8_t first_at;   // zeros before it
    uint8_t second_at;  // and, with the first one, before this
    uint8_t advance;    // places in all
    uint8_t bits;       // to consume; kEnd is added where the block ends behind them
  };
  static constexpr uint8_t kEnd = 64;

  struct Table {
    // `pairs`: for coefficients, not DC differences.
    void make(const JHUFF_TBL& from, bool with_pairs);
    void make_pairs();
    // The code at the top of `bits`; length 0: there is none.
    Code code(uint64_t bits) const;

    Pair pairs[1 << kPair];
    Code codes[1 << kOne];
    int32_t last_code[kCodeBits + 1];  // by length; -1: none
    int32_t first_symbol[kCodeBits + 1];
    UINT8 lengths[kCodeBits + 1] = {};  // as in JHUFF_TBL: what this was made from
    UINT8 symbols[256] = {};
    bool is_made = false;
  };

  struct Bits {
    uint64_t buffer = 0;  // the next bits, from the top
    int count = 0;
    const uint8_t* next = nullptr;

    void refill();
    void drop(int n);
    int take_signed(int n);
  };

  struct Block {
    const Table* dc;
    const Table* ac;
    uint32_t* last_dc;
  };

  template <bool kStore>
  static bool decode_block(Bits* in, const Block& block, JCOEF* out);
  bool decode_blocks(int count, JBLOCKROW* out);
  bool decode_portably(int count, JBLOCKROW* out);
  bool decode_with_bmi2(int count, JBLOCKROW* out);
  static boolean decode_mcu(j_decompress_ptr libjpeg, JBLOCKROW* blocks);
  // Copies the scan's bytes without stuffing, up to the first marker.
  void unstuff(const uint8_t* from, size_t size);

  Entropy entropy_ = best_entropy();
  Table dc_[NUM_HUFF_TBLS], ac_[NUM_HUFF_TBLS];
  Block blocks_[D_MAX_BLOCKS_IN_MCU] = {};
  Buffer bytes_;
  size_t bits_in_all_ = 0;
  Bits bits_;
  uint32_t last_dc_[MAX_COMPS_IN_SCAN] = {};  // damaged ones grow without bounds; libjpeg lets them wrap
};

}  // namespace fastload::jpeg
