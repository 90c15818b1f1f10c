// jpeg/huffman.h: the coefficients of a baseline scan, in the place of libjpeg's own entropy decoder. Private to this room.
//
// Note [entropy decoding]
// Most of decoding a photo is Huffman codes. libjpeg looks up a code, then fetches the bits of its coefficient, and looks for stuffed
// bytes whenever it fetches. Here the stuffing is taken out first, so that eight bytes are fetched without a branch, and one lookup of
// kStep bits gives up to two coefficients and the block's end: full decodes of 400 photos take 0.80 ms in the place of 1.23. What one
// lookup costs is the way from its bits to the next one's, and a wrong guess where blocks end; values are made of bits without branches.
// Coefficients are exact by definition: whatever is not a plain scan is left to libjpeg, and what is damaged raises its warnings.
#pragma once

#include <cstdint>
#include <cstdio>
#include <vector>

// clang-format off: jpeglib.h uses FILE and size_t without including them, so it comes last
#include <jpeglib.h>
// clang-format on

#include "buffer.h"
#include "jpeg/decode.h"
#include "jpeg/entries.h"

namespace fastload::jpeg {

class Huffman {
 public:
  void use(Entropy entropy) { entropy_ = entropy; }
  // See Buffer.
  void settle() { bytes_.settle(); }

  // For use after jpeg_start_decompress(): whether it can take over, from one baseline scan of all components, without restarts.
  bool can_take_over(const jpeg_decompress_struct& libjpeg) const;
  // The same, or with restarts: for enter() and note().
  bool can_read(const jpeg_decompress_struct& libjpeg) const;
  // If so, before the first row, in the Codec whose member this is. Apart from the question, since a third of what it costs to open
  // a file is in here, and some files are opened for their header alone.
  void take_over(jpeg_decompress_struct* libjpeg);

  // After this or one of the next, in the place of reading rows: the next MCU's blocks, into zeros; null: nowhere.
  void read_mcu(jpeg_decompress_struct* libjpeg, JBLOCKROW* blocks) { hook_(libjpeg, blocks); }

  // In the place of take_over(), for an image of which only the header was given to libjpeg: of rows that are not skipped, MCUs
  // [begin, end) are read, from where the record says; `codes` begin `codes_at` bytes into the scan. What does not fit together ends
  // the decode with Code::not_native. See jpeg/entering.cpp.
  void enter(jpeg_decompress_struct* libjpeg, const EntryRecord& record, ByteSpan codes, size_t codes_at, int begin, int end);

  // In the place of take_over(): all MCUs are read, and entry points noted. False: not of this scan. See jpeg/noting.cpp.
  bool note(jpeg_decompress_struct* libjpeg, int every);
  // Then: reads what is left. False: there is a code that is none, or the codes do not end where the scan does.
  bool note_rest(const jpeg_decompress_struct& libjpeg, ScanLayout* layout, uint32_t* end_bit);
  const std::vector<EntryPoint>& points() const { return notes_.points; }

 private:
  static constexpr int kOne = 9;        // bits that are looked up for one code
  static constexpr int kStep = 10;      // … for what begins with it; with 11 the tables crowd the first cache
  static constexpr int kCodeBits = 16;  // of the longest code

  // What the next kOne bits begin with. `length` 0: a longer code, or none.
  struct Code {
    uint8_t symbol;
    uint8_t length;
  };

  // What the next kStep bits begin with, of a DC difference. No `bits`: a longer code, or none.
  struct Difference {
    uint8_t bits;      // to consume
    uint8_t low_bits;  // the last of these: what is to be added to
    int16_t base;      // … this
  };

  // Of coefficients: up to two, the block's end, or both. If there is one, it is the second, and the first a zero in its place.
  struct Step {
    uint8_t bits;      // to consume; kEnd is added where the block ends behind them
    uint8_t low_bits;  // as above, for the second one. If there are any, nothing follows it.
    uint8_t first_at;  // zeros before it
    uint8_t second_at;
    uint8_t advance;  // places in all; kNothing: a longer code, or none
    int8_t first;
    int16_t second;
  };
  static_assert(sizeof(Step) == sizeof(uint64_t) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a step is one load");
  static constexpr uint8_t kEnd = 64;
  static constexpr uint8_t kNothing = DCTSIZE2;

  struct Table {
    // `is_dc`: for DC differences, not coefficients.
    void make(const JHUFF_TBL& from, bool is_dc);
    void make_differences();
    void make_steps();
    // The code at the top of `bits`; length 0: there is none.
    Code code(uint64_t bits) const;

    union {
      Step steps[1 << kStep];
      Difference differences[1 << kStep];
    };
    Code codes[1 << kOne];
    int32_t last_code[kCodeBits + 1];  // by length; -1: none
    int32_t first_symbol[kCodeBits + 1];
    UINT8 lengths[kCodeBits + 1] = {};  // as in JHUFF_TBL: what this was made from
    UINT8 symbols[256] = {};
    bool is_made = false;
  };

  struct Bits {
    uint64_t buffer = 0;  // the next bits, from the top
    unsigned count = 0;   // how many there are, modulo kEnd
    const uint8_t* next = nullptr;

    void refill();
    // Bits, and maybe kEnd.
    void drop(unsigned n);
    // The last n of the next `bits` ones, which are at least one.
    uint32_t low(int bits, int n) const;
    int take_signed(int n);
  };

  struct Block {
    const Table* dc;
    const Table* ac;
    uint32_t* last_dc;
  };

  enum class Stand : uint8_t { within, behind, bad };
  template <bool kStore>
  static Stand step(Bits* in, const Table& table, JCOEF* out, int* k);
  template <bool kStore>
  static Stand long_step(Bits* in, const Table& table, JCOEF* out, int* k);
  template <bool kStore>
  static bool decode_block(Bits* in, const Block& block, JCOEF* out);
  bool decode_blocks(int count, JBLOCKROW* out);
  bool decode_portably(int count, JBLOCKROW* out);
  bool decode_with_bmi2(int count, JBLOCKROW* out);
  bool read_blocks(int count, JBLOCKROW* out) {
    return entropy_ == Entropy::bmi2 ? decode_with_bmi2(count, out) : decode_portably(count, out);
  }
  // Of the next bit, in bytes_.
  size_t position() const {
    return static_cast<size_t>(bits_.next - bytes_.data()) * 8 - (bits_.count & (kEnd - 1));
  }

  using Hook = boolean (*)(j_decompress_ptr libjpeg, JBLOCKROW* blocks);
  void prepare(jpeg_decompress_struct* libjpeg);
  // From now on libjpeg gets its MCUs from there.
  void hook(jpeg_decompress_struct* libjpeg, Hook hook);
  static Huffman& self(j_decompress_ptr libjpeg);
  static boolean decode_mcu(j_decompress_ptr libjpeg, JBLOCKROW* blocks);
  void warn(j_decompress_ptr libjpeg, bool intact);

  // A restart marker, and how many bytes of codes come before it.
  struct Restart {
    size_t at;
    int number;
  };
  // What lies among a scan's codes and is none; counted in bytes_.
  struct LeftOut {
    std::vector<uint32_t> zeros;  // stuffed ones: how many bytes of codes come before each
    std::vector<Restart> restarts;
    size_t next_restart = 0;

    void clear();
    // Whether the next restart marker lies before that bit.
    bool is_before(size_t bit) const { return next_restart < restarts.size() && restarts[next_restart].at * 8 < bit; }
  };
  // Copies codes to `to`, in bytes_, without stuffing, up to the first marker, or past restart markers where the scan is to have such.
  // Where it stopped writing; and reading.
  uint8_t* unstuff(const uint8_t** from, const uint8_t* end, uint8_t* to, LeftOut* left_out) const;
  // Before the MCU of that number, if a restart is due there. False: its marker is not there.
  bool pass_restart(int64_t number, LeftOut* left_out);

  // See enter(); places in MCUs.
  struct Entrance {
    EntryRecord record;
    ByteSpan codes;
    size_t codes_at = 0;
    int begin = 0;
    int end = 0;
    int x = 0;  // of the next MCU
    int y = 0;
    int interval_end = 0;  // of the one that is being read
    std::vector<EntryPoint> ends;  // how the intervals of the row must end; their bits are in bytes_
    size_t next_end = 0;  // among these
    LeftOut left_out;     // of the row
  };
  static boolean enter_mcu(j_decompress_ptr libjpeg, JBLOCKROW* blocks);
  bool enter_row(int count);
  bool read_entered(int x, int count, JBLOCKROW* blocks);
  bool stands_as(const EntryPoint& point, bool with_dc) const;

  // See note().
  struct Notes {
    int every = 0;
    int x = 0;  // of the next MCU
    int y = 0;
    int next_point = 0;  // the MCU of the row that it is before
    bool failed = false;
    std::vector<EntryPoint> points;  // their bits are in bytes_ until note_rest() ends
    LeftOut left_out;
    uint32_t scan_bytes = 0;
  };
  static boolean note_mcu(j_decompress_ptr libjpeg, JBLOCKROW* blocks);
  bool note_next(int count, JBLOCKROW* blocks);

  Entropy entropy_ = best_entropy();
  Table dc_[NUM_HUFF_TBLS], ac_[NUM_HUFF_TBLS];
  Block blocks_[D_MAX_BLOCKS_IN_MCU] = {};
  Buffer bytes_;
  size_t bits_in_all_ = 0;
  Bits bits_;
  uint32_t last_dc_[MAX_COMPS_IN_SCAN] = {};  // damaged ones grow without bounds; libjpeg lets them wrap
  Hook hook_ = decode_mcu;
  int mcus_per_row_ = 0;
  int mcu_rows_ = 0;
  int restart_interval_ = 0;  // in MCUs; 0: none
  Entrance entrance_;
  Notes notes_;
};

}  // namespace fastload::jpeg
