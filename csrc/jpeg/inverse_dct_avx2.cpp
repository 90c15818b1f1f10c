// jpeg/inverse_dct_avx2.cpp: see Note [inverse DCT]. A pass is done in halves: registers of four columns (then rows) for one output,
// and the same four for another.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "jpeg/inverse_dct.h"

namespace fastload::jpeg {

namespace {

// Cosines times 2^13, each rounded and then added up as libjpeg does: of the even inputs,
constexpr int k0 = 8192, k2 = 10703, k6 = 4433, k26 = -10704;
// … and of the odd ones 1, 5, 3, 7 for the outputs 0, 1, 2, 3.
constexpr int kOdd[4][4] = {{11363, 6437, 9633, 2260}, {9633, -11362, -2259, -6436}, {6437, 2261, -11362, 9633}, {2260, 9633, -6436, -11363}};

// Two factors for the pairs of the first output, two for those of the second.
inline __m256i factors(int a, int b, int c, int d) {
  const int first = static_cast<int>(static_cast<uint32_t>(b) << 16 | (static_cast<uint32_t>(a) & 0xffff));
  const int second = static_cast<int>(static_cast<uint32_t>(d) << 16 | (static_cast<uint32_t>(c) & 0xffff));
  return _mm256_setr_epi32(first, first, first, first, second, second, second, second);
}

// Inputs in pairs of words, four pairs twice.
struct Pairs {
  __m256i in04, in15, in26, in37;
};

// Words of the outputs 0 and 3, then 1 and 2, four each; and of 4 and 7, then 5 and 6.
struct Outputs {
  __m256i low, high;
};

inline __m256i odd(const Pairs& in, const int* first, const int* second) {
  return _mm256_add_epi32(_mm256_madd_epi16(in.in15, factors(first[0], first[1], second[0], second[1])),
                          _mm256_madd_epi16(in.in37, factors(first[2], first[3], second[2], second[3])));
}

template <int kShift>
inline Outputs pass(const Pairs& in) {
  const __m256i half = _mm256_set1_epi32(1 << (kShift - 1));
  const __m256i even = _mm256_add_epi32(half, _mm256_madd_epi16(in.in04, factors(k0, k0, k0, -k0)));
  const __m256i twos = _mm256_madd_epi16(in.in26, factors(k2, k6, k6, k26));
  const __m256i odd01 = odd(in, kOdd[0], kOdd[1]), odd32 = odd(in, kOdd[3], kOdd[2]);
  const __m256i even01 = _mm256_add_epi32(even, twos), even32 = _mm256_sub_epi32(even, twos);
  const __m256i out01 = _mm256_srai_epi32(_mm256_add_epi32(even01, odd01), kShift);
  const __m256i out76 = _mm256_srai_epi32(_mm256_sub_epi32(even01, odd01), kShift);
  const __m256i out32 = _mm256_srai_epi32(_mm256_add_epi32(even32, odd32), kShift);
  const __m256i out45 = _mm256_srai_epi32(_mm256_sub_epi32(even32, odd32), kShift);
  return {_mm256_packs_epi32(out01, out32), _mm256_packs_epi32(out45, out76)};
}

// Of four columns: words of the rows 0 and 4, then 1 and 5, in pairs; and of 2 and 6, then 3 and 7.
inline Outputs along_columns(__m256i rows0415, __m256i rows2637) {
  return pass<11>({_mm256_permute4x64_epi64(rows0415, 0x44), _mm256_permute4x64_epi64(rows0415, 0xee),
                   _mm256_permute4x64_epi64(rows2637, 0x44), _mm256_permute4x64_epi64(rows2637, 0xee)});
}

// Of four rows, words of the left and right four columns: those of the rows a and d, then b and c. Outputs of the rows a, d, b, c.
inline Outputs along_rows(__m256i left, __m256i right) {
  const __m256i rows_ab = _mm256_unpacklo_epi16(left, right), rows_dc = _mm256_unpackhi_epi16(left, right);
  const __m256i pairs01 = _mm256_unpacklo_epi32(rows_ab, rows_dc), pairs23 = _mm256_unpackhi_epi32(rows_ab, rows_dc);
  return pass<18>({_mm256_permute4x64_epi64(pairs01, 0x88), _mm256_permute4x64_epi64(pairs01, 0xdd),
                   _mm256_permute4x64_epi64(pairs23, 0x88), _mm256_permute4x64_epi64(pairs23, 0xdd)});
}

inline void store_two(__m128i bytes, uint8_t* first, uint8_t* second) {
  _mm_storel_epi64(reinterpret_cast<__m128i*>(first), bytes);
  _mm_storeh_pd(reinterpret_cast<double*>(second), _mm_castsi128_pd(bytes));
}

// What along_rows() gave: the samples of the rows a, b, c, d, each at its pointer.
inline void store(const Outputs& out, uint8_t* const rows[4], size_t column) {
  // Bytes of the columns 0, 3, 4, 7, then 1, 2, 5, 6, each of the rows a, d, b, c: first the columns in order, then rows of four.
  const __m256i centred = _mm256_packs_epi16(out.low, out.high);
  const __m256i columns = _mm256_permutevar8x32_epi32(centred, _mm256_setr_epi32(0, 4, 5, 1, 2, 6, 7, 3));
  const __m256i by_rows = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 2, 6, 10, 14, 3, 7, 11, 15, 1, 5, 9, 13));
  const __m256i halves = _mm256_xor_si256(_mm256_shuffle_epi8(columns, by_rows), _mm256_set1_epi8(static_cast<char>(0x80)));
  const __m128i left = _mm256_castsi256_si128(halves), right = _mm256_extracti128_si256(halves, 1);
  store_two(_mm_unpacklo_epi32(left, right), rows[0] + column, rows[1] + column);
  store_two(_mm_unpackhi_epi32(left, right), rows[2] + column, rows[3] + column);
}

inline __m256i two_rows(const int16_t* coefficients, const uint16_t* quantizers, int row) {
  return _mm256_mullo_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(coefficients + 8 * row)),
                            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(quantizers + 8 * row)));
}

}  // namespace

bool inverse_dct_avx2(const int16_t* coefficients, const uint16_t* quantizers, uint8_t* const* rows, size_t column) {
  const __m256i rows01 = two_rows(coefficients, quantizers, 0), rows23 = two_rows(coefficients, quantizers, 2);
  const __m256i rows45 = two_rows(coefficients, quantizers, 4), rows67 = two_rows(coefficients, quantizers, 6);
  const Outputs left = along_columns(_mm256_unpacklo_epi16(rows01, rows45), _mm256_unpacklo_epi16(rows23, rows67));
  const Outputs right = along_columns(_mm256_unpackhi_epi16(rows01, rows45), _mm256_unpackhi_epi16(rows23, rows67));
  // Where all of this is within +-2^14, no sum of two inputs has overflowed 16 bits, for these are four times smaller; nor will one.
  const __m256i offset = _mm256_set1_epi16(1 << 14);
  const __m256i top = _mm256_or_si256(_mm256_add_epi16(left.low, offset), _mm256_add_epi16(right.low, offset));
  const __m256i bottom = _mm256_or_si256(_mm256_add_epi16(left.high, offset), _mm256_add_epi16(right.high, offset));
  constexpr uint32_t kSigns = 0xaaaaaaaa;
  if (__builtin_expect((static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_or_si256(top, bottom))) & kSigns) != 0, 0)) return false;
  store(along_rows(left.low, right.low), rows, column);
  // In the order 4, 5, 6, 7: as above.
  store(along_rows(left.high, right.high), rows + 4, column);
  return true;
}

}  // namespace fastload::jpeg

#endif
