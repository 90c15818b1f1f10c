// jpeg/entries.h: a record of where the codes of a JPEG's scan can be entered: before every K-th MCU of each row. docs/entries-file.md
// has its layout; this reads and writes it, and knows nothing of libjpeg.
//
// A record that parse() has taken is safe to read, whatever it says: what it says is checked where the codes are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "types.h"

namespace fastload::jpeg {

constexpr int kMostComponents = 4;

// How a reader of codes stands before an MCU: the bit that comes next, in the scan as it lies in the file, and the DC predictors.
struct EntryPoint {
  uint32_t bit = 0;
  int16_t dc[kMostComponents] = {};
};

// The bytes that a record was made of.
struct Origin {
  uint64_t key[2] = {};     // of the place where they lie
  int64_t file_bytes = 0;   // of the file there
  int64_t changed_ns = 0;   // its times: of its content,
  int64_t status_ns = 0;    // … and of whatever else
  uint32_t crc32c = 0;      // CRC-32C of the encoded image
};

// The scan of a JPEG.
struct ScanLayout {
  uint32_t scan_at = 0;     // its first byte, in the encoded image
  uint32_t scan_bytes = 0;  // up to the EOI
  uint16_t width = 0;       // of the image
  uint16_t height = 0;
  uint16_t every = 0;         // K
  uint16_t mcus_per_row = 0;
  uint16_t mcu_rows = 0;
  uint8_t components = 0;

  int per_row() const { return (mcus_per_row + every - 1) / every; }  // entry points
};

class EntryRecord {
 public:
  // Bytes that live as long as this is used. False: none of ours, of another version, or damaged.
  bool parse(ByteSpan bytes);

  const Origin& origin() const { return origin_; }
  const ScanLayout& layout() const { return layout_; }
  // The segments of the file up to the codes, as far as the pixels depend on them: SOI, tables, frame, scan.
  ByteSpan header() const { return header_; }

  // All of it, and how its points are packed, for those who read them themselves.
  struct Packing {
    size_t rows = 0;    // from the record's beginning
    size_t points = 0;
    size_t header = 0;
    int bit_width = 0;
    int point_width = 0;
    const int* dc_widths = nullptr;
  };
  ByteSpan bytes() const { return bytes_; }
  Packing packing() const;

  // Of a row the `number`-th; the one behind its last is where the next row begins, or, as a bit alone, where the codes end.
  uint32_t bit(int row, int number) const;
  EntryPoint point(int row, int number) const;

 private:
  uint32_t row_begin(int row) const;
  uint64_t packed(size_t bit) const;

  ByteSpan bytes_;
  Origin origin_;
  ScanLayout layout_;
  const uint8_t* rows_ = nullptr;    // u32 each: where their codes begin, and behind the last where they end
  const uint8_t* points_ = nullptr;  // packed
  int bit_width_ = 0;                // of a place, counted from its row's beginning
  int dc_widths_[kMostComponents] = {};
  int point_width_ = 0;
  ByteSpan header_;
};

// How long a record at the beginning of these bytes says that it is; 0: there is none.
size_t record_size(ByteSpan bytes);
// At least so many bytes tell it.
constexpr size_t kRecordStart = 16;
constexpr size_t kLongestRecord = (size_t{1} << 27) - 8;

// Appends a record of the points of all rows, one row behind the other. False: no record can say this.
bool append_record(const Origin& origin, const ScanLayout& layout, const std::vector<EntryPoint>& points, uint32_t end_bit,
                   const std::vector<uint8_t>& header, std::vector<uint8_t>* out);

}  // namespace fastload::jpeg
