// device/read_codes.h: the codes of one interval between two entry points -> the samples of its blocks. As jpeg/entering.cpp reads
// them, and with the same rules for when codes do not fit their entry points.
#pragma once

#include "device/code_reader.h"
#include "device/code_tables.h"
#include "device/transform.h"

namespace fastload::device {

// What the threads of an image share while they read its codes.
struct CodesShared {
  uint16_t ac[2][1 << kAcLook];  // of CodeTables
  uint16_t dc[2][1 << kDcLook];
  int16_t quantizers[kMostPlanes][kBlockNumbers];  // in rows of eight
  int32_t plane[kMostMcuBlocks], x[kMostMcuBlocks], y[kMostMcuBlocks], wide[kMostMcuBlocks], tall[kMostMcuBlocks];
};

// One thread's block: int16, an odd number of words, so that threads side by side have banks of their own.
constexpr int kRoom = kBlockNumbers + 2;

// An entry point: where its codes begin, in bits of the scan, and the DC values before them.
struct Entry {
  uint32_t bit;
  int32_t dc[kMostPlanes];
};

// 57 bits at least, from that one on.
FASTLOAD_DEVICE uint64_t packed_at(const uint8_t* words, uint64_t bit) {
  const uint32_t word = static_cast<uint32_t>(bit >> 5);
  const int by = static_cast<int>(bit & 31);
  const uint64_t low = word_at(words, word) | static_cast<uint64_t>(word_at(words, word + 1)) << 32;
  const uint64_t high = word_at(words, word + 2);
  return by == 0 ? low : low >> by | high << (64 - by);
}

FASTLOAD_DEVICE int sign_extended(uint64_t bits, int width) {
  return width == 0 ? 0 : static_cast<int>(static_cast<int64_t>(bits << (64 - width)) >> (64 - width));
}

// Of that row the `number`-th; behind its last the next row's first. Behind the last of all a place alone.
FASTLOAD_DEVICE Entry entry_at(const CodesWork& work, const uint8_t* block, int row, int number) {
  const int points = (work.per_row + work.every - 1) / work.every;
  if (number == points) {
    ++row;
    number = 0;
  }
  Entry entry = {};
  entry.bit = word_at(block + work.rows, static_cast<uint32_t>(row));
  if (row == work.mcu_rows) return entry;
  const uint8_t* const words = block + work.points;
  uint64_t at = (static_cast<uint64_t>(row) * static_cast<uint64_t>(points) + static_cast<uint64_t>(number)) *
                static_cast<uint64_t>(work.point_width);
  entry.bit += static_cast<uint32_t>(packed_at(words, at) & ((uint64_t{1} << work.bit_width) - 1));
  at += static_cast<uint64_t>(work.bit_width);
  FASTLOAD_UNROLLED
  for (int i = 0; i < kMostPlanes; ++i) {
    entry.dc[i] = sign_extended(packed_at(words, at), work.dc_widths[i]);
    at += static_cast<uint64_t>(work.dc_widths[i]);
  }
  return entry;
}

// The `thread`-th of so many does its part.
FASTLOAD_DEVICE void fill_shared(const ImageWork& work, const uint8_t* block, int thread, int threads, CodesShared* out) {
  const CodesWork& codes = work.codes;
  for (int i = thread; i < work.planes * kBlockNumbers; i += threads) {
    const int plane = i / kBlockNumbers, place = i % kBlockNumbers, number = kZigzagOf[place];
    const uint8_t* const table = block + codes.quantizers[plane];
    const bool is_wide = (codes.wide_quantizers >> plane & 1) != 0;
    out->quantizers[plane][place] =
        static_cast<int16_t>(is_wide ? table[2 * number] << 8 | table[2 * number + 1] : table[number]);
  }
  for (int i = thread; i < codes.mcu_blocks; i += threads) {
    out->plane[i] = codes.block_plane[i];
    out->x[i] = codes.block_x[i];
    out->y[i] = codes.block_y[i];
    out->wide[i] = codes.wide[codes.block_plane[i]];
    out->tall[i] = codes.tall[codes.block_plane[i]];
  }
}

// The value that `size` bits on top stand for (T.81, F.2.2.1); 0 of none.
FASTLOAD_DEVICE int signed_of(uint32_t bits, int size) {
  const int value = static_cast<int>(bits >> 1 >> (31 - size));
  return static_cast<int32_t>(bits) < 0 ? value : value - (1 << size) + 1;
}

// One block's coefficients, in the order of the codes, into zeros; false: there is no such code. A run may end behind the last place.
FASTLOAD_DEVICE bool read_block(const CodesShared& shared, const CodeTables& tables, int pair, CodeReader* in, int* last_dc, int16_t* room,
                                bool* has_rows) {
  in->refill();
  uint32_t code = shared.dc[pair][in->top >> (32 - kDcLook)];
  if (code == 0) code = long_code(tables, 2 * pair, in->top);
  if (code == 0) return false;
  int length = static_cast<int>(code >> 8), size = static_cast<int>(code & 15);
  *last_dc = plus(*last_dc, signed_of(shifted_up(in->top, length), size));
  in->drop(length + size);
  room[0] = static_cast<int16_t>(*last_dc);
  const uint16_t* const look = shared.ac[pair];
  uint32_t rows = 0;
  for (int k = 1; k < kBlockNumbers;) {
    in->refill();
    code = look[in->top >> (32 - kAcLook)];
    if (code == 0) code = long_code(tables, 2 * pair + 1, in->top);
    if (code == 0) return false;
    length = static_cast<int>(code >> 8);
    size = static_cast<int>(code & 15);
    const int run = static_cast<int>(code >> 4 & 15);
    const int value = signed_of(shifted_up(in->top, length), size);
    in->drop(length + size);
    if (size != 0) {
      const int place = least(k + run, kBlockNumbers - 1);
      room[place] = static_cast<int16_t>(value);
      rows |= ~(place < 32 ? kFirstRow >> place : 0u) & 1;
      k += run + 1;
    } else {
      k = run == 15 ? k + 16 : kBlockNumbers;
    }
  }
  *has_rows = rows != 0;
  return true;
}

FASTLOAD_DEVICE void clear(int16_t* room) {
#if defined(__CUDACC__)
  FASTLOAD_UNROLLED
  for (int k = 0; k < kBlockNumbers / 2; ++k) reinterpret_cast<int32_t*>(room)[k] = 0;
#else
  __builtin_memset(room, 0, kBlockNumbers * sizeof *room);
#endif
}

// Interval `number` of the row of MCUs that is the `row`-th of those wanted; negative: none, for a thread that must not leave the
// others of its warp. `room` is zeros, and is left so. Returns faults.
FASTLOAD_DEVICE int read_interval(const ImageWork& work, const CodesShared& shared, const uint8_t* block, uint8_t* scratch, int row,
                                  int number, int16_t* room) {
  const CodesWork& codes = work.codes;
  const CodeTables& tables = *reinterpret_cast<const CodeTables*>(scratch + codes.lookups);
  const int first = codes.left / codes.every + (number < 0 ? 0 : number);
  const int y = codes.top + row;
  const int begin = first * codes.every, whole = least(begin + codes.every, codes.per_row);
  int end = number < 0 ? begin : least(whole, codes.right);
  const Entry entry = entry_at(codes, block, y, first);
  int fault = 0;
  const uint32_t byte = (entry.bit >> 3) - codes.begin;
  if (number >= 0 && byte >= codes.size) fault = kOutside;  // also of one before the codes
  if (fault != 0) end = begin;
  CodeReader in;
  in.start(block + codes.codes, codes.size, byte, static_cast<int>(entry.bit & 7));
  int dc[kMostPlanes] = {entry.dc[0], entry.dc[1], entry.dc[2]};
  for (int x = begin; any_of_warp(x < end); ++x) {
    const int mcu = y * codes.per_row + x;
    // At an entry point it has been done: restarts that lie there end the interval before it.
    if (codes.restart_interval != 0 && x > begin && x < end && mcu % codes.restart_interval == 0) {
      if (!in.pass_restart(mcu / codes.restart_interval - 1)) {
        fault |= kWrongEnd;
        end = x;
      }
      dc[0] = dc[1] = dc[2] = 0;
    }
    for (int i = 0; i < codes.mcu_blocks; ++i) {
      const int plane = shared.plane[i];
      bool has_rows = false;
      if (x < end) {
        int now = plane == 0 ? dc[0] : plane == 1 ? dc[1] : dc[2];
        if (!read_block(shared, tables, plane == 0 ? 0 : 1, &in, &now, room, &has_rows)) {
          fault |= kBadCode;
          end = x;
        }
        if (plane == 0) dc[0] = now;
        if (plane == 1) dc[1] = now;
        if (plane == 2) dc[2] = now;
      }
      join_warp();
      if (x < end && x >= codes.left) {
        const PlaneWork& to = work.plane[plane];
        const int64_t stride = int64_t{8} * to.columns;
        const int64_t block_row = row * shared.tall[i] + shared.y[i], block_column = (x - codes.left) * shared.wide[i] + shared.x[i];
        uint8_t* const out = scratch + to.samples + block_row * 8 * stride + block_column * 8;
        transform<true>(room, shared.quantizers[plane], has_rows, room, out, stride);
      }
      clear(room);
      join_warp();
    }
    if (x < end && in.count < in.missing) {
      fault |= kOutside;
      end = x;
    }
  }
  if (fault != 0 || end <= begin) return fault;
  const int next = y * codes.per_row + whole;
  const bool at_the_end = next == codes.mcu_rows * codes.per_row;
  const Entry behind = entry_at(codes, block, y, first + 1);
  if (end != whole) {  // the window ends within the interval, and so must what was read
    return in.count >= in.missing && in.position() + 8 * codes.begin <= (behind.bit | 7) + 1 ? 0 : kWrongEnd;
  }
  if (codes.restart_interval != 0 && !at_the_end && next % codes.restart_interval == 0) {
    if (!in.pass_restart(next / codes.restart_interval - 1)) return kWrongEnd;
    dc[0] = dc[1] = dc[2] = 0;
  }
  bool is_as_said = in.count >= in.missing && in.position() + 8 * codes.begin == behind.bit;
  for (int i = 0; !at_the_end && i < work.planes; ++i) is_as_said = is_as_said && dc[i] == behind.dc[i];
  return is_as_said ? 0 : kWrongEnd;
}

}  // namespace fastload::device
