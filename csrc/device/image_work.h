// device/image_work.h: what is to be done on a GPU to make the pixels of one image of a batch: where its codes or coefficients lie,
// what they are of, and the window, the passes of the resize and the flips that make the finished image of it.
//
// Plain numbers, the same for every compiler. Places are offsets: in the batch's block, which the engine fills and which is copied once,
// or in scratch memory of the device, which nobody else writes.
#pragma once

#include "device/words.h"

namespace fastload::device {

constexpr int kMostPlanes = 3;
constexpr int kMostMcuBlocks = 6;  // 4:2:0
constexpr int kBlockNumbers = 64;
constexpr int kCodeLengths = 16;
// Behind an image's codes in the block: a marker that ends them, and so much that may be read.
constexpr int kCodesSlack = 16;

enum Way : int32_t {
  kElsewhere,     // nothing is done: somebody else makes it
  kCodes,         // read by entry points
  kCoefficients,  // which were read before
};

// How the weights of a pass come to be: as of that filter, or they are there.
enum Weights : int32_t { kCopied, kBox, kBilinear, kBicubic, kGiven };

// The blocks of one component that a window depends on; see jpeg/coefficients.h.
struct PlaneWork {
  int32_t x, y;           // of its first sample
  int32_t columns, rows;  // of blocks
  int32_t width, height;  // of the component
  uint64_t numbers;       // in the block, as coefficients: int16, quantizers first
  uint64_t samples;       // in scratch: uint8, 8 x columns a row
};

// One pass of a resize; see recipe/separable.h.
struct PassWork {
  int32_t vertical, lines, span, outputs, taps;
  int32_t weights_of;       // Weights
  int32_t in_size, out_size;  // of the whole resize along this axis
  int32_t first;            // its first output that is wanted
  int32_t origin;           // input that the span begins with
  uint64_t weights;         // int32: outputs starts, then outputs x taps; in the block where they are given, else in scratch
};

// Codes that lie in the block, with their record.
struct CodesWork {
  uint64_t codes;           // in the block, at a multiple of 4
  uint64_t rows, points;    // of the record, in the block: docs/entries-file.md
  uint64_t tables[4];       // DC and AC, of luminance, then of chroma: 16 lengths, then symbols
  uint64_t quantizers[kMostPlanes];  // in zigzag order
  uint64_t lookups;         // in scratch: CodeTables
  uint32_t begin, size;     // in the scan, bytes
  int32_t wide_quantizers;  // a bit for each plane whose quantizers have 16 bits, big-endian
  int32_t every, per_row, mcu_rows;  // K; MCUs
  int32_t left, right, top, bottom;  // MCUs that are wanted
  int32_t restart_interval;
  int32_t bit_width, dc_widths[kMostPlanes], point_width;
  int32_t mcu_blocks;
  int32_t block_plane[kMostMcuBlocks], block_x[kMostMcuBlocks], block_y[kMostMcuBlocks];
  int32_t wide[kMostPlanes], tall[kMostPlanes];  // an MCU in blocks
};

struct ImageWork {
  int32_t way;     // Way
  int32_t planes;  // 1: gray, 3: luminance and chroma
  int32_t across, down;  // samples of luminance to one of chroma
  int32_t x, y, width, height;  // the window
  int32_t flip_horizontal, flip_vertical;
  uint64_t between;  // in scratch: the pixels between the passes, RGBX
  PlaneWork plane[kMostPlanes];
  PassWork pass[2];
  CodesWork codes;
};

// What went wrong with an image; sums. Its pixels are of no use then.
enum Fault : int32_t {
  kBadCode = 1,   // bits that are no code
  kWrongEnd = 2,  // an interval does not end where the next begins, with its DC values
  kOutside = 4,   // a place that is not among the codes
};

// Intervals between two entry points of a row that are read.
FASTLOAD_DEVICE int intervals_of_row(const CodesWork& work) {
  return (work.right - 1) / work.every + 1 - work.left / work.every;
}

}  // namespace fastload::device
