// AVX2. A weight K is split as K = 2048 Kh + Kl with 0 <= Kl < 2048, both fit 16 bits, and
// sum(p * K) = (sum(p * Kh) << 11) + sum(p * Kl) is exact modulo 2^32. One vpmaddwd adds up two taps.
#if defined(__x86_64__)

#include <immintrin.h>

#include "image/passes.h"

namespace fastload::image {

namespace {

constexpr int kLowBits = 11;
constexpr int kWordsPerGroup = 4;  // high and low halves of taps 0 and 1, then of taps 2 and 3

uint32_t pair(int32_t first, int32_t second) {
  return static_cast<uint32_t>(first & 0xffff) | (static_cast<uint32_t>(second & 0xffff) << 16);
}

void pack_weights(const TapsView& taps, uint32_t* packed) {
  const int32_t* k = taps.weights;
  const int32_t groups = taps.outputs * taps.groups;
  constexpr int32_t kLow = (1 << kLowBits) - 1;
  for (int32_t i = 0; i < groups; ++i, k += kTapGroup, packed += kWordsPerGroup) {
    packed[0] = pair(k[0] >> kLowBits, k[1] >> kLowBits);
    packed[1] = pair(k[0] & kLow, k[1] & kLow);
    packed[2] = pair(k[2] >> kLowBits, k[3] >> kLowBits);
    packed[3] = pair(k[2] & kLow, k[3] & kLow);
  }
}

struct Sums {
  __m256i high, low;
};

inline Sums zero_sums() { return {_mm256_setzero_si256(), _mm256_set1_epi32(1 << (kPrecisionBits - 1))}; }

// `values`: 16-bit pairs of two taps.
inline void add_pair(Sums* sums, __m256i values, const uint32_t* halves) {
  sums->high = _mm256_add_epi32(sums->high, _mm256_madd_epi16(values, _mm256_set1_epi32(static_cast<int>(halves[0]))));
  sums->low = _mm256_add_epi32(sums->low, _mm256_madd_epi16(values, _mm256_set1_epi32(static_cast<int>(halves[1]))));
}

inline __m256i whole(const Sums& sums) {
  return _mm256_srai_epi32(_mm256_add_epi32(_mm256_slli_epi32(sums.high, kLowBits), sums.low), kPrecisionBits);
}

inline __m256i to_bytes(__m256i a, __m256i b, __m256i c, __m256i d) {
  return _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
}

inline __m128i load16(const uint8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }

// Two rows at once, one a 128-bit lane.
inline __m256i one_output(const uint8_t* const rows[2], ptrdiff_t at, int32_t groups, const uint32_t* halves) {
  const __m256i taps01 =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1));
  const __m256i taps23 =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(8, -1, 12, -1, 9, -1, 13, -1, 10, -1, 14, -1, 11, -1, 15, -1));
  Sums sums = zero_sums();
  for (int32_t g = 0; g < groups; ++g, at += 16, halves += kWordsPerGroup) {
    const __m256i pixels =
        _mm256_inserti128_si256(_mm256_castsi128_si256(load16(rows[0] + at)), load16(rows[1] + at), 1);
    add_pair(&sums, _mm256_shuffle_epi8(pixels, taps01), halves);
    add_pair(&sums, _mm256_shuffle_epi8(pixels, taps23), halves + 2);
  }
  return whole(sums);
}

// The first `count` (at most four) of the four pixels in `bytes`.
inline void store_pixels(uint8_t* to, __m128i bytes, int32_t count) {
  if (count >= 4) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
    return;
  }
  alignas(16) uint32_t pixels[4];
  _mm_store_si128(reinterpret_cast<__m128i*>(pixels), bytes);
  for (int32_t i = 0; i < count; ++i) __builtin_memcpy(to + 4 * i, &pixels[i], 4);
}

void horizontal(const TapsView& taps, uint32_t* packed, const Pixels& source, const Pixels& out) {
  pack_weights(taps, packed);
  const ptrdiff_t step = static_cast<ptrdiff_t>(taps.groups) * kWordsPerGroup;
  const int32_t last = taps.outputs - 1;
  for (int32_t y = 0; y < out.height; y += 2) {
    const int32_t second = y + 1 < out.height ? y + 1 : y;
    const uint8_t* rows[2] = {source.row(y), source.row(second)};
    for (int32_t x = 0; x < taps.outputs; x += 4) {
      __m256i sums[4];
      for (int32_t i = 0; i < 4; ++i) {
        const int32_t at = x + i < last ? x + i : last;
        const ptrdiff_t first = 4 * static_cast<ptrdiff_t>(taps.starts[at]);
        sums[i] = one_output(rows, first, taps.groups, packed + at * step);
      }
      const __m256i bytes = to_bytes(sums[0], sums[1], sums[2], sums[3]);
      store_pixels(out.row(y) + 4 * x, _mm256_castsi256_si128(bytes), taps.outputs - x);
      store_pixels(out.row(second) + 4 * x, _mm256_extracti128_si256(bytes, 1), taps.outputs - x);
    }
  }
}

// 32 bytes of two rows: 16-bit pairs, four registers in the order of to_bytes().
inline void add_rows(Sums sums[4], __m256i first, __m256i second, const uint32_t* halves) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i low = _mm256_unpacklo_epi8(first, second);
  const __m256i high = _mm256_unpackhi_epi8(first, second);
  add_pair(&sums[0], _mm256_unpacklo_epi8(low, zero), halves);
  add_pair(&sums[1], _mm256_unpackhi_epi8(low, zero), halves);
  add_pair(&sums[2], _mm256_unpacklo_epi8(high, zero), halves);
  add_pair(&sums[3], _mm256_unpackhi_epi8(high, zero), halves);
}

void vertical(const TapsView& taps, uint32_t* packed, const Pixels& source, const Pixels& out) {
  pack_weights(taps, packed);
  const ptrdiff_t row_bytes = 4 * static_cast<ptrdiff_t>(out.width);
  for (int32_t y = 0; y < taps.outputs; ++y) {
    const int32_t start = taps.starts[y];
    const uint32_t* row_halves = packed + static_cast<ptrdiff_t>(y) * taps.groups * kWordsPerGroup;
    // Eight pixels a step; the rest through small copies, since a row may end where memory does.
    for (ptrdiff_t at = 0; at < row_bytes; at += 32) {
      const ptrdiff_t left = row_bytes - at;
      Sums sums[4] = {zero_sums(), zero_sums(), zero_sums(), zero_sums()};
      for (int32_t tap = 0; tap < taps.groups * kTapGroup; tap += 2) {
        __m256i rows[2];
        for (int32_t i = 0; i < 2; ++i) {
          const int32_t row = start + tap + i < source.height ? start + tap + i : source.height - 1;
          const uint8_t* from = source.row(row) + at;
          alignas(32) uint8_t tail[32] = {};
          if (left < 32) {
            __builtin_memcpy(tail, from, static_cast<size_t>(left));
            from = tail;
          }
          rows[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
        }
        add_rows(sums, rows[0], rows[1], row_halves + tap);
      }
      const __m256i result = to_bytes(whole(sums[0]), whole(sums[1]), whole(sums[2]), whole(sums[3]));
      if (left >= 32) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.row(y) + at), result);
      } else {
        alignas(32) uint8_t tail[32];
        _mm256_store_si256(reinterpret_cast<__m256i*>(tail), result);
        __builtin_memcpy(out.row(y) + at, tail, static_cast<size_t>(left));
      }
    }
  }
}

}  // namespace

const Passes kAvx2Passes = {horizontal, vertical};

}  // namespace fastload::image

#endif
