// device/kernels.h: the kernels: each thread does its part of what device/host.cpp does in loops. In their order: prepare, read_codes,
// transform_blocks, first_pass, second_pass; the third only where there are coefficients.
//
// Grids: the first axis is the image; each image's blocks beyond what it needs end at once.
#pragma once

#include "device/pixels.h"
#include "device/read_codes.h"
#include "device/resample.h"
#include "device/transform.h"

namespace fastload::device {

// What all kernels are given.
struct Launch {
  const uint8_t* block;
  uint8_t* scratch;
  uint8_t* out;     // uint8 [images, height, width, 3]
  int32_t* faults;  // of each image
  uint64_t works;   // in the block: ImageWork of each image
  int32_t width, height;
};

// Every compiler, and fastload/gpu/kernel_program.py, has them so.
static_assert(sizeof(ImageWork) == 520 && sizeof(Launch) == 48, "as the engine writes them");

#if defined(__CUDACC__)

constexpr int kPrepareThreads = 256;
constexpr int kCodesThreads = 128;
constexpr int kTransformThreads = 64;
constexpr int kPixelThreads = 128;
constexpr int kPixelRows = 8;
constexpr int kFirstThreads = 256;
constexpr int kRowPixels = 8192;  // of rows that are shared

__device__ __forceinline__ const ImageWork& work_of(const Launch& launch) {
  return reinterpret_cast<const ImageWork*>(launch.block + launch.works)[blockIdx.x];
}

// Second axis: 0: code tables, and no fault; 1 and 2: weights.
extern "C" __global__ void __launch_bounds__(kPrepareThreads) prepare(const Launch launch) {
  __shared__ CodeLengths lengths;
  __shared__ uint8_t symbols[kTables * 256];
  const ImageWork& work = work_of(launch);
  const int thread = static_cast<int>(threadIdx.x);
  if (blockIdx.y == 0 && thread == 0) launch.faults[blockIdx.x] = 0;
  if (work.way == kElsewhere) return;
  if (blockIdx.y > 0) {
    const PassWork& pass = work.pass[blockIdx.y - 1];
    for (int i = thread; pass.weights_of != kGiven && i < pass.outputs; i += kPrepareThreads) make_weights(pass, i, launch.scratch);
    return;
  }
  if (work.way != kCodes) return;
  const int tables = tables_of(work);
  for (int table = 0; table < tables; ++table) {
    copy_symbols(table_of(work, launch.block, table), thread, kPrepareThreads, symbols + 256 * table);
  }
  if (thread < tables) make_lengths(table_of(work, launch.block, thread), thread, &lengths);
  __syncthreads();
  make_lookups(lengths, symbols, tables, thread, kPrepareThreads, reinterpret_cast<CodeTables*>(launch.scratch + work.codes.lookups));
}

// Second axis: kCodesThreads intervals. With all the registers that it would like it is 10 % faster, and a training beside it slower.
extern "C" __global__ void __launch_bounds__(kCodesThreads, 6) read_codes(const Launch launch) {
  extern __shared__ __align__(16) uint8_t memory[];
  CodesShared& shared = *reinterpret_cast<CodesShared*>(memory);
  const ImageWork& work = work_of(launch);
  if (work.way != kCodes) return;
  const int a_row = intervals_of_row(work.codes), count = a_row * (work.codes.bottom - work.codes.top);
  const int thread = static_cast<int>(threadIdx.x), begin = static_cast<int>(blockIdx.y) * kCodesThreads;
  if (begin >= count) return;
  const uint4* const from = reinterpret_cast<const uint4*>(launch.scratch + work.codes.lookups);
  for (int i = thread; i < kLookBytes / 16; i += kCodesThreads) reinterpret_cast<uint4*>(memory)[i] = from[i];
  fill_shared(work, launch.block, thread, kCodesThreads, &shared);
  int16_t* const room = reinterpret_cast<int16_t*>(memory + sizeof(CodesShared)) + kRoom * thread;
  for (int k = 0; k < kBlockNumbers; ++k) room[k] = 0;
  __syncthreads();
  const int mine = begin + thread;
  const bool is_one = mine < count;
  const int row = is_one ? mine / a_row : 0, number = is_one ? mine - row * a_row : -1;
  const int fault = read_interval(work, shared, launch.block, launch.scratch, row, number, room);
  if (fault != 0) atomicOr(launch.faults + blockIdx.x, fault);
}

// Second axis: the plane; third: kTransformThreads of its blocks.
extern "C" __global__ void __launch_bounds__(kTransformThreads) transform_blocks(const Launch launch) {
  const ImageWork& work = work_of(launch);
  if (work.way != kCoefficients || static_cast<int>(blockIdx.y) >= work.planes) return;
  const PlaneWork& plane = work.plane[blockIdx.y];
  const int number = static_cast<int>(blockIdx.z * kTransformThreads + threadIdx.x);
  if (number < plane.columns * plane.rows) transform_stored(plane, launch.block, launch.scratch, number);
}

// Rows side by side: each thread has a column of them, and so each weight once.
__device__ __forceinline__ void resample_rows(const ImageWork& work, const Launch& launch, const uint32_t* rows, int count, int first,
                                              uint32_t* out) {
  const PassWork& pass = work.pass[0];
  constexpr int kAtOnce = 4;
  for (int column = static_cast<int>(threadIdx.x); column < pass.outputs; column += kFirstThreads) {
    const Weighed taps = weighed(pass, launch.block, launch.scratch, column);
    for (int begin = 0; begin < count; begin += kAtOnce) {
      Sum sums[kAtOnce];
      for (int tap = 0; tap < pass.taps; ++tap) {
        const uint32_t* const pixel = rows + begin * pass.span + least(taps.start + tap, pass.span - 1);
        const int32_t weight = taps.weights[tap];
        FASTLOAD_UNROLLED
        for (int i = 0; i < kAtOnce; ++i) sums[i].add(pixel[least(i, count - 1 - begin) * pass.span], weight);
      }
      FASTLOAD_UNROLLED
      for (int i = 0; i < kAtOnce; ++i) {
        if (begin + i < count) out[static_cast<int64_t>(first + begin + i) * pass.outputs + column] = sums[i].pixel();
      }
    }
  }
}

// Second axis: kPixelRows rows, or as many as kRowPixels are.
extern "C" __global__ void __launch_bounds__(kFirstThreads) first_pass(const Launch launch) {
  __shared__ uint32_t shared_rows[kRowPixels];
  const ImageWork& work = work_of(launch);
  if (work.way == kElsewhere) return;
  const PassWork& pass = work.pass[0];
  const int rows = rows_of(pass), columns = columns_of(pass), thread = static_cast<int>(threadIdx.x);
  uint32_t* const out = reinterpret_cast<uint32_t*>(launch.scratch + work.between);
  if (pass.vertical != 0 || work.width > kRowPixels) {
    const int begin = static_cast<int>(blockIdx.y) * kPixelRows, end = least(begin + kPixelRows, rows);
    for (int row = begin; row < end; ++row) {
      for (int column = thread; column < columns; column += kFirstThreads) {
        out[static_cast<int64_t>(row) * columns + column] = first_pixel(work, launch.block, launch.scratch, column, row);
      }
    }
    return;
  }
  const int at_once = least(kPixelRows, kRowPixels / work.width), begin = static_cast<int>(blockIdx.y) * at_once;
  const int count = least(at_once, rows - begin);
  if (count <= 0) return;
  for (int row = 0; row < count; ++row) {
    for (int column = thread; column < work.width; column += kFirstThreads) {
      shared_rows[row * work.width + column] = pixel_of(work, launch.scratch, column, begin + row);
    }
  }
  __syncthreads();
  resample_rows(work, launch, shared_rows, count, begin, out);
}

// Second axis: kPixelRows rows; third: kPixelThreads columns.
extern "C" __global__ void __launch_bounds__(kPixelThreads) second_pass(const Launch launch) {
  const ImageWork& work = work_of(launch);
  const int column = static_cast<int>(blockIdx.z * kPixelThreads + threadIdx.x), row = static_cast<int>(blockIdx.y) * kPixelRows;
  if (work.way == kElsewhere || column >= launch.width) return;
  uint8_t* const image = launch.out + int64_t{3} * launch.width * launch.height * blockIdx.x;
  for (int y = row; y < least(row + kPixelRows, launch.height); ++y) {
    put_pixel(work, second_pixel(work, launch.block, launch.scratch, column, y), column, y, launch.width, launch.height, image);
  }
}

#endif

}  // namespace fastload::device
