// AVX-512 with VNNI. Note [exact weights in bytes]: a weight K (23 bits and a sign) is written in balanced base 256 as
// K = d0 + 256 d1 + 65536 d2 with each digit an int8, so that sum(p * K) = S0 + 256 S1 + 65536 S2 with every S a sum of u8 x s8
// products, four of which one vpdpbusd adds up. All of it is exact modulo 2^32, hence equal to the scalar sum.
// A window of an ImageNet photo to 224 x 224, bilinear, on a Sapphire Rapids core: 52 us; AVX2 150, scalar 500.
#if defined(__x86_64__)

#include <immintrin.h>

#include "image/passes.h"

namespace fastload::image {

namespace {

constexpr int kDigits = 3;

// The digits of four weights, each digit's four bytes in one word.
inline void split(const int32_t* weights, uint32_t digits[kDigits]) {
  const __m128i k = _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights));
  const __m128i d0 = _mm_srai_epi32(_mm_slli_epi32(k, 24), 24);
  const __m128i k1 = _mm_srai_epi32(_mm_sub_epi32(k, d0), 8);
  const __m128i d1 = _mm_srai_epi32(_mm_slli_epi32(k1, 24), 24);
  const __m128i d2 = _mm_srai_epi32(_mm_sub_epi32(k1, d1), 8);
  digits[0] = static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_cvtepi32_epi8(d0)));
  digits[1] = static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_cvtepi32_epi8(d1)));
  digits[2] = static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_cvtepi32_epi8(d2)));
}

// Half of the last bit that is dropped, before two shifts by a digit.
constexpr int kRounding = 1 << (kPrecisionBits - 1 - 16);

// Horner's rule over the digits: sums of the highest digit first. `bytes` are the values of kGroups groups of taps.
// digit(d, g) is the register of digit d for group g.
template <int kGroups, typename DigitFn>
inline __m512i weighted(const __m512i* bytes, DigitFn digit) {
  __m512i sum = _mm512_set1_epi32(kRounding);
  for (int d = kDigits - 1; d >= 0; --d) {
    for (int g = 0; g < kGroups; ++g) sum = _mm512_dpbusd_epi32(sum, bytes[g], digit(d, g));
    if (d > 0) sum = _mm512_slli_epi32(sum, 8);
  }
  return _mm512_srai_epi32(sum, kPrecisionBits);
}

// For any number of groups, one at a time. Named members: GCC 12 leaves an array of them in memory.
struct Sums {
  __m512i s0, s1, s2;
};

inline Sums zero_sums() { return {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_set1_epi32(kRounding)}; }

inline void add_group(Sums* sums, __m512i bytes, __m512i d0, __m512i d1, __m512i d2) {
  sums->s0 = _mm512_dpbusd_epi32(sums->s0, bytes, d0);
  sums->s1 = _mm512_dpbusd_epi32(sums->s1, bytes, d1);
  sums->s2 = _mm512_dpbusd_epi32(sums->s2, bytes, d2);
}

inline __m512i whole(const Sums& sums) {
  const __m512i high = _mm512_add_epi32(_mm512_slli_epi32(sums.s2, 8), sums.s1);
  return _mm512_srai_epi32(_mm512_add_epi32(_mm512_slli_epi32(high, 8), sums.s0), kPrecisionBits);
}

inline __m512i word(const uint32_t* from) { return _mm512_set1_epi32(static_cast<int>(*from)); }
inline __m512i load64(const void* from) { return _mm512_loadu_si512(from); }

// Four registers of 32-bit values into bytes, within each 128-bit lane in the order a, b, c, d. Saturation is Pillow's clip.
inline __m512i to_bytes(__m512i a, __m512i b, __m512i c, __m512i d) {
  return _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
}

// Horizontal: a register holds four neighbouring outputs, one a 128-bit lane, of one row. Their taps start within kReach pixels
// of each other, so one load of 16 pixels holds a group of all four, and one byte permutation brings each lane its own.
constexpr int kReach = 12;
constexpr int kQuadWords = 16;  // of a register

// One quad's form: the permutation, then kDigits registers a group.
inline ptrdiff_t quad_words(const TapsView& taps) {
  return kQuadWords * (1 + kDigits * static_cast<ptrdiff_t>(taps.groups));
}

// False when some quad's taps lie too far apart.
bool pack_quads(const TapsView& taps, uint32_t* quad) {
  for (int32_t x = 0; x < taps.outputs; x += 4, quad += quad_words(taps)) {
    for (int32_t lane = 0; lane < 4; ++lane) {
      const int32_t output = x + lane < taps.outputs ? x + lane : taps.outputs - 1;
      const int32_t shift = taps.starts[output] - taps.starts[x];
      if (shift < 0 || shift > kReach) return false;
      // Byte 4 c + k of the lane is channel c of tap k, which lies at 4 (shift + k) + c.
      for (int32_t c = 0; c < 4; ++c) {
        quad[4 * lane + c] = 0x0c080400u + 0x01010101u * static_cast<uint32_t>(4 * shift + c);
      }
      const int32_t* weights = taps.weights + static_cast<ptrdiff_t>(output) * taps.groups * kTapGroup;
      for (int32_t g = 0; g < taps.groups; ++g, weights += kTapGroup) {
        uint32_t digits[kDigits];
        split(weights, digits);
        for (int d = 0; d < kDigits; ++d) {
          uint32_t* to = quad + kQuadWords * (1 + kDigits * g + d) + 4 * lane;
          for (int c = 0; c < 4; ++c) to[c] = digits[d];
        }
      }
    }
  }
  return true;
}

template <int kGroups>  // 0: any number
inline __m512i one_quad(const TapsView& taps, const uint32_t* quad, const uint8_t* from) {
  const __m512i order = load64(quad);
  const uint32_t* digits = quad + kQuadWords;
  if (kGroups > 0) {
    __m512i bytes[kGroups > 0 ? kGroups : 1];
    for (int g = 0; g < kGroups; ++g) bytes[g] = _mm512_permutexvar_epi8(order, load64(from + 16 * g));
    return weighted<kGroups>(bytes, [digits](int d, int g) { return load64(digits + kQuadWords * (kDigits * g + d)); });
  }
  Sums sums = zero_sums();
  for (int32_t g = 0; g < taps.groups; ++g, digits += kQuadWords * kDigits) {
    const __m512i bytes = _mm512_permutexvar_epi8(order, load64(from + 16 * g));
    add_group(&sums, bytes, load64(digits), load64(digits + kQuadWords), load64(digits + 2 * kQuadWords));
  }
  return whole(sums);
}

// Rows are done in blocks small enough for the first cache, and within a block 16 outputs at a time, whose weights then stay in
// registers from row to row.
constexpr int32_t kRowBlock = 16;

template <int kGroups>
void horizontal_quads(const TapsView& taps, const uint32_t* quads, const Pixels& source, const Pixels& out) {
  // to_bytes() leaves pixel 4 i + l in lane l at place i.
  const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const int32_t last_quad = (taps.outputs - 1) / 4;
  for (int32_t y0 = 0; y0 < out.height; y0 += kRowBlock) {
    const int32_t y1 = y0 + kRowBlock < out.height ? y0 + kRowBlock : out.height;
    for (int32_t x = 0; x < taps.outputs; x += 16) {
      const uint32_t* quad[4];
      ptrdiff_t from[4];
      for (int32_t i = 0; i < 4; ++i) {
        const int32_t q = x / 4 + i < last_quad ? x / 4 + i : last_quad;
        quad[i] = quads + q * quad_words(taps);
        from[i] = 4 * static_cast<ptrdiff_t>(taps.starts[4 * q]);
      }
      const int32_t left = taps.outputs - x;
      const __mmask16 mask = left >= 16 ? 0xffff : static_cast<__mmask16>((1u << left) - 1);
      const uint8_t* row = source.row(y0);
      uint8_t* to = out.row(y0) + 4 * static_cast<ptrdiff_t>(x);
      for (int32_t y = y0; y < y1; ++y, row += source.stride, to += out.stride) {
        const __m512i bytes =
            to_bytes(one_quad<kGroups>(taps, quad[0], row + from[0]), one_quad<kGroups>(taps, quad[1], row + from[1]),
                     one_quad<kGroups>(taps, quad[2], row + from[2]), one_quad<kGroups>(taps, quad[3], row + from[3]));
        _mm512_mask_storeu_epi32(to, mask, _mm512_permutexvar_epi32(in_order, bytes));
      }
    }
  }
}

inline __m128i load16(const uint8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }

void pack_words(const TapsView& taps, uint32_t* packed) {
  const int32_t groups = taps.outputs * taps.groups;
  for (ptrdiff_t i = 0; i < groups; ++i) split(taps.weights + i * kTapGroup, packed + i * kDigits);
}

// Where quads do not serve (reductions by more than four): four rows at once, one a 128-bit lane.
inline __m512i one_output(const uint8_t* const rows[4], ptrdiff_t at, int32_t groups, const uint32_t* digits) {
  const __m512i by_channel =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  Sums sums = zero_sums();
  for (int32_t g = 0; g < groups; ++g, at += 16, digits += kDigits) {
    __m512i pixels = _mm512_castsi128_si512(load16(rows[0] + at));
    pixels = _mm512_inserti32x4(pixels, load16(rows[1] + at), 1);
    pixels = _mm512_inserti32x4(pixels, load16(rows[2] + at), 2);
    pixels = _mm512_inserti32x4(pixels, load16(rows[3] + at), 3);
    add_group(&sums, _mm512_shuffle_epi8(pixels, by_channel), word(digits), word(digits + 1), word(digits + 2));
  }
  return whole(sums);
}

void horizontal_rows(const TapsView& taps, const uint32_t* packed, const Pixels& source, const Pixels& out) {
  const ptrdiff_t step = static_cast<ptrdiff_t>(taps.groups) * kDigits;
  const int32_t last = taps.outputs - 1;
  for (int32_t y = 0; y < out.height; y += 4) {
    const uint8_t* rows[4];
    uint8_t* to[4];
    for (int32_t i = 0; i < 4; ++i) {
      const int32_t row = y + i < out.height ? y + i : out.height - 1;  // the last row again and again
      rows[i] = source.row(row);
      to[i] = out.row(row);
    }
    for (int32_t x = 0; x < taps.outputs; x += 4) {
      __m512i sums[4];
      for (int32_t i = 0; i < 4; ++i) {
        const int32_t at = x + i < last ? x + i : last;
        sums[i] = one_output(rows, 4 * static_cast<ptrdiff_t>(taps.starts[at]), taps.groups, packed + at * step);
      }
      const __m512i bytes = to_bytes(sums[0], sums[1], sums[2], sums[3]);
      const __mmask8 pixels = taps.outputs - x >= 4 ? 0xf : static_cast<__mmask8>((1 << (taps.outputs - x)) - 1);
      const ptrdiff_t offset = 4 * static_cast<ptrdiff_t>(x);
      _mm_mask_storeu_epi32(to[0] + offset, pixels, _mm512_castsi512_si128(bytes));
      _mm_mask_storeu_epi32(to[1] + offset, pixels, _mm512_extracti32x4_epi32(bytes, 1));
      _mm_mask_storeu_epi32(to[2] + offset, pixels, _mm512_extracti32x4_epi32(bytes, 2));
      _mm_mask_storeu_epi32(to[3] + offset, pixels, _mm512_extracti32x4_epi32(bytes, 3));
    }
  }
}

void horizontal(const TapsView& taps, uint32_t* scratch, const Pixels& source, const Pixels& out) {
  if (!pack_quads(taps, scratch)) {
    pack_words(taps, scratch);
    return horizontal_rows(taps, scratch, source, out);
  }
  switch (taps.groups) {
    case 1: return horizontal_quads<1>(taps, scratch, source, out);
    case 2: return horizontal_quads<2>(taps, scratch, source, out);
    default: return horizontal_quads<0>(taps, scratch, source, out);
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

template <bool kWhole>
inline __m512i load_bytes(const uint8_t* from, __mmask64 mask) {
  // A masked load takes an arithmetic port too.
  return kWhole ? load64(from) : _mm512_maskz_loadu_epi8(mask, from);
}

// 64 bytes of one output row, or those in `mask`, from kGroups groups of rows.
template <int kGroups, bool kWhole>
inline __m512i vertical_bytes(const uint8_t* const rows[], ptrdiff_t at, const __m512i* digits, __mmask64 mask) {
  __m512i bytes[kGroups][4];
  for (int g = 0; g < kGroups; ++g) {
    __m512i four[4];
    for (int i = 0; i < 4; ++i) four[i] = load_bytes<kWhole>(rows[g * kTapGroup + i] + at, mask);
    interleave(four, bytes[g]);
  }
  __m512i values[4];
  for (int i = 0; i < 4; ++i) {
    __m512i groups[kGroups];
    for (int g = 0; g < kGroups; ++g) groups[g] = bytes[g][i];
    values[i] = weighted<kGroups>(groups, [digits](int d, int g) { return digits[g * kDigits + d]; });
  }
  return to_bytes(values[0], values[1], values[2], values[3]);
}

inline const uint8_t* clamped_row(const Pixels& source, int32_t row) {
  return source.row(row < source.height ? row : source.height - 1);
}

template <int kGroups>
void vertical_rows(const TapsView& taps, const uint32_t* packed, const Pixels& source, const Pixels& out) {
  const ptrdiff_t row_bytes = 4 * static_cast<ptrdiff_t>(out.width);
  for (int32_t y = 0; y < taps.outputs; ++y, packed += kGroups * kDigits) {
    const uint8_t* rows[kGroups * kTapGroup];
    for (int i = 0; i < kGroups * kTapGroup; ++i) rows[i] = clamped_row(source, taps.starts[y] + i);
    __m512i digits[kGroups * kDigits];
    for (int i = 0; i < kGroups * kDigits; ++i) digits[i] = word(packed + i);
    uint8_t* to = out.row(y);
    ptrdiff_t at = 0;
    for (; at + 64 <= row_bytes; at += 64) {
      _mm512_storeu_si512(to + at, vertical_bytes<kGroups, true>(rows, at, digits, 0));
    }
    if (at == row_bytes) continue;
    const __mmask64 mask = (__mmask64{1} << (row_bytes - at)) - 1;
    _mm512_mask_storeu_epi8(to + at, mask, vertical_bytes<kGroups, false>(rows, at, digits, mask));
  }
}

// Any number of groups.
void vertical_rows(const TapsView& taps, const uint32_t* packed, const Pixels& source, const Pixels& out) {
  const ptrdiff_t row_bytes = 4 * static_cast<ptrdiff_t>(out.width);
  for (int32_t y = 0; y < taps.outputs; ++y) {
    const uint32_t* row_digits = packed + static_cast<ptrdiff_t>(y) * taps.groups * kDigits;
    for (ptrdiff_t at = 0; at < row_bytes; at += 64) {
      const __mmask64 mask = row_bytes - at >= 64 ? ~__mmask64{0} : (__mmask64{1} << (row_bytes - at)) - 1;
      Sums sums[4] = {zero_sums(), zero_sums(), zero_sums(), zero_sums()};
      const uint32_t* digits = row_digits;
      for (int32_t row = 0; row < taps.groups * kTapGroup; row += kTapGroup, digits += kDigits) {
        __m512i rows[4];
        for (int i = 0; i < 4; ++i) {
          rows[i] = load_bytes<false>(clamped_row(source, taps.starts[y] + row + i) + at, mask);
        }
        __m512i bytes[4];
        interleave(rows, bytes);
        for (int i = 0; i < 4; ++i) add_group(&sums[i], bytes[i], word(digits), word(digits + 1), word(digits + 2));
      }
      const __m512i result = to_bytes(whole(sums[0]), whole(sums[1]), whole(sums[2]), whole(sums[3]));
      _mm512_mask_storeu_epi8(out.row(y) + at, mask, result);
    }
  }
}

void vertical(const TapsView& taps, uint32_t* scratch, const Pixels& source, const Pixels& out) {
  pack_words(taps, scratch);
  switch (taps.groups) {
    case 1: return vertical_rows<1>(taps, scratch, source, out);
    case 2: return vertical_rows<2>(taps, scratch, source, out);
    default: return vertical_rows(taps, scratch, source, out);
  }
}

}  // namespace

const Passes kAvx512Passes = {horizontal, vertical};

}  // namespace fastload::image

#endif
