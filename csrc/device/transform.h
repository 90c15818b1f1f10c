// device/transform.h: the coefficients of a block -> its samples: libjpeg-turbo's accurate integer inverse DCT (ISLOW), bit for bit.
//
// Note [16 bits]
// libjpeg-turbo's SIMD code (x86) keeps what goes into a pass of the transform in 16 bits: products with the quantizers and sums of
// two inputs wrap, what a pass gives saturates, and a block without AC rows takes a short cut in its first pass. Only damaged files
// get there, but they have those pixels in Pillow, so they have them here.
#pragma once

#include "device/image_work.h"

namespace fastload::device {

// Where the coefficient of each place of a block lies in the order of the codes.
FASTLOAD_CONSTANT uint8_t kZigzagOf[kBlockNumbers] = {
    0,  1,  5,  6,  14, 15, 27, 28, 2,  4,  7,  13, 16, 26, 29, 42, 3,  8,  12, 17, 25, 30, 41, 43, 9,  11, 18, 24, 31, 40, 44, 53,
    10, 19, 23, 32, 39, 45, 52, 54, 20, 22, 33, 38, 46, 51, 55, 60, 21, 34, 37, 47, 50, 56, 59, 61, 35, 36, 48, 49, 57, 58, 62, 63};
// A bit for each of those that are in a block's first row.
constexpr uint32_t kFirstRow = 1u << 0 | 1u << 1 | 1u << 5 | 1u << 6 | 1u << 14 | 1u << 15 | 1u << 27 | 1u << 28;

FASTLOAD_DEVICE int wrapped(int value) { return static_cast<int16_t>(value); }

// Multiplications and sums as the processor's: they may wrap where a file is damaged.
FASTLOAD_DEVICE int times(int a, int b) { return static_cast<int>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b)); }
FASTLOAD_DEVICE int plus(int a, int b) { return static_cast<int>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b)); }
FASTLOAD_DEVICE int minus(int a, int b) { return static_cast<int>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b)); }

// Along one axis, in place, before it is scaled down (Loeffler, Ligtenberg and Moschytz, 1989).
FASTLOAD_DEVICE void transform_pass(int* v) {
  const int even0 = times(wrapped(v[0] + v[4]), 1 << 13), even1 = times(wrapped(v[0] - v[4]), 1 << 13);
  const int even2 = minus(times(v[2], 4433), times(v[6], 10704)), even3 = plus(times(v[2], 10703), times(v[6], 4433));
  const int sum3 = wrapped(v[7] + v[3]), sum4 = wrapped(v[5] + v[1]);
  const int z3 = minus(times(sum4, 9633), times(sum3, 6436)), z4 = plus(times(sum3, 9633), times(sum4, 6437));
  const int odd0 = minus(minus(z3, times(v[7], 4927)), times(v[1], 7373));
  const int odd1 = minus(minus(z4, times(v[5], 4176)), times(v[3], 20995));
  const int odd2 = plus(minus(z3, times(v[5], 20995)), times(v[3], 4177));
  const int odd3 = plus(minus(z4, times(v[7], 7373)), times(v[1], 4926));
  const int zero = plus(even0, even3), one = plus(even1, even2), two = minus(even1, even2), three = minus(even0, even3);
  v[0] = plus(zero, odd3);
  v[1] = plus(one, odd2);
  v[2] = plus(two, odd1);
  v[3] = plus(three, odd0);
  v[4] = minus(three, odd0);
  v[5] = minus(two, odd1);
  v[6] = minus(one, odd2);
  v[7] = minus(zero, odd3);
}

FASTLOAD_DEVICE void store_row(const int* samples, uint8_t* out) {
#if defined(__CUDACC__)
  uint32_t low = 0, high = 0;
  FASTLOAD_UNROLLED
  for (int c = 0; c < 4; ++c) {
    low |= static_cast<uint32_t>(samples[c]) << (8 * c);
    high |= static_cast<uint32_t>(samples[c + 4]) << (8 * c);
  }
  *reinterpret_cast<uint2*>(out) = make_uint2(low, high);
#else
  for (int c = 0; c < 8; ++c) out[c] = static_cast<uint8_t>(samples[c]);
#endif
}

// `zigzag`: in the order of the codes, else in rows of eight, as the quantizers; `has_rows`: some coefficient lies below the first
// row. `work` is of the same order, and may be the coefficients. Rows of `out`, at a multiple of 8, are `stride` bytes apart.
template <bool zigzag>
FASTLOAD_DEVICE void transform(const int16_t* coefficients, const int16_t* quantizers, bool has_rows, int16_t* work, uint8_t* out,
                               int64_t stride) {
  FASTLOAD_UNROLLED
  for (int c = 0; c < 8; ++c) {
    int v[8];
    FASTLOAD_UNROLLED
    for (int y = 0; y < 8; ++y) {
      const int place = 8 * y + c;
      v[y] = wrapped(coefficients[zigzag ? kZigzagOf[place] : place] * quantizers[place]);
    }
    const int alone = wrapped(v[0] * 4);
    transform_pass(v);
    FASTLOAD_UNROLLED
    for (int y = 0; y < 8; ++y) {
      const int place = 8 * y + c;
      const int scaled = has_rows ? clamped(plus(v[y], 1 << 10) >> 11, -32768, 32767) : alone;
      work[zigzag ? kZigzagOf[place] : place] = static_cast<int16_t>(scaled);
    }
  }
  FASTLOAD_UNROLLED
  for (int y = 0; y < 8; ++y) {
    int v[8];
    FASTLOAD_UNROLLED
    for (int c = 0; c < 8; ++c) v[c] = work[zigzag ? kZigzagOf[8 * y + c] : 8 * y + c];
    transform_pass(v);
    FASTLOAD_UNROLLED
    for (int c = 0; c < 8; ++c) v[c] = clamped(plus(v[c], 1 << 17) >> 18, -128, 127) + 128;
    store_row(v, out + y * stride);
  }
}

// Block `number` of a plane whose coefficients lie in the batch's block.
FASTLOAD_DEVICE void transform_stored(const PlaneWork& plane, const uint8_t* block, uint8_t* scratch, int number) {
  const int16_t* const quantizers = reinterpret_cast<const int16_t*>(block + plane.numbers);
  const int16_t* const coefficients = quantizers + kBlockNumbers * (1 + static_cast<int64_t>(number));
  uint32_t rows = 0;
  FASTLOAD_UNROLLED
  for (int k = 8; k < kBlockNumbers; ++k) rows |= static_cast<uint16_t>(coefficients[k]);
  const int64_t stride = int64_t{8} * plane.columns;
  uint8_t* const out = scratch + plane.samples + number / plane.columns * 8 * stride + number % plane.columns * 8;
  int16_t work[kBlockNumbers];
  transform<false>(coefficients, quantizers, rows != 0, work, out, stride);
}

}  // namespace fastload::device
