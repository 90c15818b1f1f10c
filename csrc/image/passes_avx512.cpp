// AVX-512 with VNNI. Note [exact weights in bytes]: a weight K (23 bits and a sign) is written in balanced base 256 as
// K = d0 + 256 d1 + 65536 d2 with each digit an int8, so that sum(p * K) = S0 + 256 S1 + 65536 S2 with every S a sum of u8 x s8
// products, four of which one vpdpbusd adds up. All of it is exact modulo 2^32, hence equal to the scalar sum.
#if defined(__x86_64__)

#include <immintrin.h>

#include "image/passes.h"

namespace fastload::image {

namespace {

constexpr int kDigits = 3;

void pack_weights(const int32_t* weights, int32_t groups, uint32_t* packed) {
  for (int32_t i = 0; i < groups; ++i, weights += kTapGroup, packed += kDigits) {
    const __m128i k = _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights));
    const __m128i d0 = _mm_srai_epi32(_mm_slli_epi32(k, 24), 24);
    const __m128i k1 = _mm_srai_epi32(_mm_sub_epi32(k, d0), 8);
    const __m128i d1 = _mm_srai_epi32(_mm_slli_epi32(k1, 24), 24);
    const __m128i d2 = _mm_srai_epi32(_mm_sub_epi32(k1, d1), 8);
    packed[0] = static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_cvtepi32_epi8(d0)));
    packed[1] = static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_cvtepi32_epi8(d1)));
    packed[2] = static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_cvtepi32_epi8(d2)));
  }
}

struct Sums {
  __m512i s0, s1, s2;
};

inline Sums zero_sums() {
  return {_mm512_set1_epi32(1 << (kPrecisionBits - 1)), _mm512_setzero_si512(), _mm512_setzero_si512()};
}

inline void add_group(Sums* sums, __m512i bytes, const uint32_t* digits) {
  sums->s0 = _mm512_dpbusd_epi32(sums->s0, bytes, _mm512_set1_epi32(static_cast<int>(digits[0])));
  sums->s1 = _mm512_dpbusd_epi32(sums->s1, bytes, _mm512_set1_epi32(static_cast<int>(digits[1])));
  sums->s2 = _mm512_dpbusd_epi32(sums->s2, bytes, _mm512_set1_epi32(static_cast<int>(digits[2])));
}

// The weighted sums without their 22 fractional bits.
inline __m512i whole(const Sums& sums) {
  const __m512i high = _mm512_add_epi32(_mm512_slli_epi32(sums.s2, 8), sums.s1);
  return _mm512_srai_epi32(_mm512_add_epi32(_mm512_slli_epi32(high, 8), sums.s0), kPrecisionBits);
}

// Four registers of (lane, RGBX) sums, one a pixel, into four pixels a lane. Saturation is Pillow's clip.
inline __m512i to_bytes(__m512i a, __m512i b, __m512i c, __m512i d) {
  return _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
}

inline __m128i load16(const uint8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }

// Four rows at once, one in each 128-bit lane: 16 bytes are four taps of one output; the shuffle puts the four values of a
// channel side by side.
inline __m512i one_output(const uint8_t* const rows[4], ptrdiff_t at, int32_t groups, const uint32_t* digits) {
  const __m512i by_channel =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  Sums sums = zero_sums();
  for (int32_t g = 0; g < groups; ++g, at += 16, digits += kDigits) {
    __m512i pixels = _mm512_castsi128_si512(load16(rows[0] + at));
    pixels = _mm512_inserti32x4(pixels, load16(rows[1] + at), 1);
    pixels = _mm512_inserti32x4(pixels, load16(rows[2] + at), 2);
    pixels = _mm512_inserti32x4(pixels, load16(rows[3] + at), 3);
    add_group(&sums, _mm512_shuffle_epi8(pixels, by_channel), digits);
  }
  return whole(sums);
}

template <int kGroups>  // 0: any number
void horizontal_rows(const TapsView& taps, const uint8_t* const rows[4], uint8_t* const out[4]) {
  const int32_t groups = kGroups == 0 ? taps.groups : kGroups;
  const uint32_t* digits = taps.packed;
  const ptrdiff_t step = static_cast<ptrdiff_t>(groups) * kDigits;
  for (int32_t x = 0; x < taps.outputs; x += 4) {
    const int32_t last = taps.outputs - 1;
    __m512i sums[4];
    for (int32_t i = 0; i < 4; ++i) {
      const int32_t at = x + i < last ? x + i : last;
      sums[i] = one_output(rows, 4 * static_cast<ptrdiff_t>(taps.starts[at]), groups, digits + at * step);
    }
    const __m512i bytes = to_bytes(sums[0], sums[1], sums[2], sums[3]);
    const __mmask8 pixels = taps.outputs - x >= 4 ? 0xf : static_cast<__mmask8>((1 << (taps.outputs - x)) - 1);
    _mm_mask_storeu_epi32(out[0] + 4 * x, pixels, _mm512_castsi512_si128(bytes));
    _mm_mask_storeu_epi32(out[1] + 4 * x, pixels, _mm512_extracti32x4_epi32(bytes, 1));
    _mm_mask_storeu_epi32(out[2] + 4 * x, pixels, _mm512_extracti32x4_epi32(bytes, 2));
    _mm_mask_storeu_epi32(out[3] + 4 * x, pixels, _mm512_extracti32x4_epi32(bytes, 3));
  }
}

void horizontal(const TapsView& taps, const Pixels& source, const Pixels& out) {
  for (int32_t y = 0; y < out.height; y += 4) {
    const uint8_t* rows[4];
    uint8_t* outs[4];
    for (int32_t i = 0; i < 4; ++i) {
      const int32_t row = y + i < out.height ? y + i : out.height - 1;  // the last row again and again
      rows[i] = source.row(row);
      outs[i] = out.row(row);
    }
    if (taps.groups == 1) {
      horizontal_rows<1>(taps, rows, outs);
    } else if (taps.groups == 2) {
      horizontal_rows<2>(taps, rows, outs);
    } else {
      horizontal_rows<0>(taps, rows, outs);
    }
  }
}

// Four source rows of 64 bytes -> for each byte position the four rows' values side by side, in the order of to_bytes().
inline void interleave(const __m512i rows[4], __m512i out[4]) {
  const __m512i low01 = _mm512_unpacklo_epi8(rows[0], rows[1]);
  const __m512i high01 = _mm512_unpackhi_epi8(rows[0], rows[1]);
  const __m512i low23 = _mm512_unpacklo_epi8(rows[2], rows[3]);
  const __m512i high23 = _mm512_unpackhi_epi8(rows[2], rows[3]);
  out[0] = _mm512_unpacklo_epi16(low01, low23);
  out[1] = _mm512_unpackhi_epi16(low01, low23);
  out[2] = _mm512_unpacklo_epi16(high01, high23);
  out[3] = _mm512_unpackhi_epi16(high01, high23);
}

void vertical(const TapsView& taps, const Pixels& source, const Pixels& out) {
  const ptrdiff_t row_bytes = 4 * static_cast<ptrdiff_t>(out.width);
  for (int32_t y = 0; y < taps.outputs; ++y) {
    const int32_t start = taps.starts[y];
    const uint32_t* row_digits = taps.packed + static_cast<ptrdiff_t>(y) * taps.groups * kDigits;
    for (ptrdiff_t at = 0; at < row_bytes; at += 64) {
      const ptrdiff_t left = row_bytes - at;
      const __mmask64 mask = left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
      Sums sums[4] = {zero_sums(), zero_sums(), zero_sums(), zero_sums()};
      for (int32_t g = 0; g < taps.groups; ++g) {
        __m512i rows[4];
        for (int32_t i = 0; i < 4; ++i) {
          const int32_t row = start + g * kTapGroup + i;
          rows[i] = _mm512_maskz_loadu_epi8(mask, source.row(row < source.height ? row : source.height - 1) + at);
        }
        __m512i bytes[4];
        interleave(rows, bytes);
        for (int32_t i = 0; i < 4; ++i) add_group(&sums[i], bytes[i], row_digits + g * kDigits);
      }
      const __m512i result = to_bytes(whole(sums[0]), whole(sums[1]), whole(sums[2]), whole(sums[3]));
      _mm512_mask_storeu_epi8(out.row(y) + at, mask, result);
    }
  }
}

}  // namespace

const Passes kAvx512Passes = {horizontal, vertical, pack_weights, kDigits};

}  // namespace fastload::image

#endif
