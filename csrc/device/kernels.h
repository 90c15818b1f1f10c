// device/kernels.h: the kernels: each thread does its part of what device/host.cpp does in loops. In their order: prepare, read_codes,
// transform_blocks, first_pass, second_pass; the third only where there are coefficients.
//
// Note [few blocks]
// The large kernels have so many parts to do, some of them empty, that a block for each would fill a GPU, and a training's kernels would
// wait until all had begun. So a few blocks a multiprocessor go from part to part, and there is room beside them (ResNet-18 on an H200: 0.3 %
// faster; with half as many blocks for pixels, on another, 1.5 %). Of the others the first axis of the grid is the image; blocks beyond what it
// needs end at once.
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
  int32_t* faults;  // of each image; on a GPU one number more, of the parts that read_codes has begun
  uint64_t works;   // in the block: ImageWork of each image
  int32_t width, height;
  int32_t images, parts;  // parts: of an image at most, in the kernel that is launched
};

// Every compiler, and fastload/gpu/kernel_program.py, has them so.
static_assert(sizeof(ImageWork) == 520 && sizeof(Launch) == 56, "as the engine writes them");

#if defined(__CUDACC__)

constexpr int kPrepareThreads = 256;
constexpr int kCodesThreads = 128;
constexpr int kTransformThreads = 64;
constexpr int kPixelThreads = 128;
constexpr int kPixelRows = 8;
constexpr int kFirstThreads = 256;
constexpr int kRowPixels = 8192;  // of rows that are shared

__device__ __forceinline__ const ImageWork& work_of(const Launch& launch, int image) {
  return reinterpret_cast<const ImageWork*>(launch.block + launch.works)[image];
}

// Second axis: 0: code tables, and no fault; 1 and 2: weights.
extern "C" __global__ void __launch_bounds__(kPrepareThreads) prepare(const Launch launch) {
  __shared__ CodeLengths lengths;
  __shared__ uint8_t symbols[kTables * 256];
  const ImageWork& work = work_of(launch, static_cast<int>(blockIdx.x));
  const int thread = static_cast<int>(threadIdx.x);
  if (blockIdx.y == 0 && thread == 0) launch.faults[blockIdx.x] = 0;
  if (blockIdx.x == 0 && blockIdx.y == 0 && thread == 1) launch.faults[launch.images] = 0;
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

// The image's intervals from `begin` on, kCodesThreads of them.
__device__ __forceinline__ void read_intervals(const Launch& launch, int image, int begin, uint8_t* memory) {
  CodesShared& shared = *reinterpret_cast<CodesShared*>(memory);
  const ImageWork& work = work_of(launch, image);
  if (work.way != kCodes) return;
  const int a_row = intervals_of_row(work.codes), count = a_row * (work.codes.bottom - work.codes.top);
  if (begin >= count) return;
  const int thread = static_cast<int>(threadIdx.x);
  const uint4* const from = reinterpret_cast<const uint4*>(launch.scratch + work.codes.lookups);
  for (int i = thread; i < kLookBytes / 16; i += kCodesThreads) reinterpret_cast<uint4*>(memory)[i] = from[i];
  fill_shared(work, launch.block, thread, kCodesThreads, &shared);
  __syncthreads();
  const int mine = begin + thread;
  const bool is_one = mine < count;
  const int row = is_one ? mine / a_row : 0, number = is_one ? mine - row * a_row : -1;
  int16_t* const room = reinterpret_cast<int16_t*>(memory + sizeof(CodesShared)) + kRoom * thread;
  const int fault = read_interval(work, shared, launch.block, launch.scratch, row, number, room);
  if (fault != 0) atomicOr(launch.faults + image, fault);
}

// Parts: kCodesThreads intervals. Few blocks leave registers enough: with six blocks' share it spilled.
extern "C" __global__ void __launch_bounds__(kCodesThreads, 4) read_codes(const Launch launch) {
  extern __shared__ __align__(16) uint8_t memory[];
  __shared__ int32_t begun;
  const int thread = static_cast<int>(threadIdx.x);
  int16_t* const room = reinterpret_cast<int16_t*>(memory + sizeof(CodesShared)) + kRoom * thread;
  for (int k = 0; k < kBlockNumbers; ++k) room[k] = 0;
  for (;;) {
    __syncthreads();  // nobody reads the tables of the last part any more
    if (thread == 0) begun = atomicAdd(launch.faults + launch.images, 1);
    __syncthreads();
    const int part = begun;
    if (part >= launch.images * launch.parts) return;
    read_intervals(launch, part % launch.images, part / launch.images * kCodesThreads, memory);
  }
}

// Second axis: the plane; third: kTransformThreads of its blocks.
extern "C" __global__ void __launch_bounds__(kTransformThreads) transform_blocks(const Launch launch) {
  const ImageWork& work = work_of(launch, static_cast<int>(blockIdx.x));
  if (work.way != kCoefficients || static_cast<int>(blockIdx.y) >= work.planes) return;
  const PlaneWork& plane = work.plane[blockIdx.y];
  const int number = static_cast<int>(blockIdx.z * kTransformThreads + threadIdx.x);
  if (number < plane.columns * plane.rows) transform_stored(plane, launch.block, launch.scratch, number);
}

// Rows side by side: each thread has a column of them, and so each weight once.
__device__ __forceinline__ void resample_rows(const ImageWork& work, const Launch& launch, const uint32_t* rows, int count, int first,
                                              uint32_t* out) {
  const PassWork pass = work.pass[0];
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

// The image's rows of that part.
__device__ __forceinline__ void first_rows(const Launch& launch, int image, int part, uint32_t* shared_rows) {
  const ImageWork& work = work_of(launch, image);
  if (work.way == kElsewhere) return;
  const PassWork& pass = work.pass[0];
  const int rows = rows_of(pass), columns = columns_of(pass), thread = static_cast<int>(threadIdx.x);
  uint32_t* const out = reinterpret_cast<uint32_t*>(launch.scratch + work.between);
  if (pass.vertical != 0 || work.width > kRowPixels) {
    const int begin = part * kPixelRows, end = least(begin + kPixelRows, rows);
    for (int row = begin; row < end; ++row) {
      for (int column = thread; column < columns; column += kFirstThreads) {
        out[static_cast<int64_t>(row) * columns + column] = first_pixel(work, launch.block, launch.scratch, column, row);
      }
    }
    return;
  }
  const int at_once = least(kPixelRows, kRowPixels / work.width), begin = part * at_once;
  const int count = least(at_once, rows - begin);
  if (count <= 0) return;
  const int width = work.width;
  for (int column = thread; column < width; column += kFirstThreads) {
    const PixelColumn pixels(work, launch.scratch, column);
    for (int row = 0; row < count; ++row) shared_rows[row * width + column] = pixels.pixel(begin + row);
  }
  __syncthreads();
  resample_rows(work, launch, shared_rows, count, begin, out);
}

// Parts: kPixelRows rows, or as many as kRowPixels are.
extern "C" __global__ void __launch_bounds__(kFirstThreads) first_pass(const Launch launch) {
  __shared__ uint32_t shared_rows[kRowPixels];
  for (int part = static_cast<int>(blockIdx.x); part < launch.images * launch.parts; part += static_cast<int>(gridDim.x)) {
    first_rows(launch, part % launch.images, part / launch.images, shared_rows);
    __syncthreads();  // before others are written there
  }
}

// Parts: kPixelRows rows of kPixelThreads columns.
extern "C" __global__ void __launch_bounds__(kPixelThreads) second_pass(const Launch launch) {
  const int across = (launch.width + kPixelThreads - 1) / kPixelThreads;
  for (int part = static_cast<int>(blockIdx.x); part < launch.images * launch.parts; part += static_cast<int>(gridDim.x)) {
    const int image = part % launch.images, place = part / launch.images;
    const ImageWork& work = work_of(launch, image);
    const int column = place % across * kPixelThreads + static_cast<int>(threadIdx.x), row = place / across * kPixelRows;
    if (work.way == kElsewhere || column >= launch.width) continue;
    uint8_t* const out = launch.out + int64_t{3} * launch.width * launch.height * image;
    const SecondPass second(work, launch.block, launch.scratch);
    for (int y = row; y < least(row + kPixelRows, launch.height); ++y) {
      second.put(second.pixel(column, y), column, y, launch.width, launch.height, out);
    }
  }
}

#endif

}  // namespace fastload::device
