#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstring>

#include "image/recolour_rows.h"

namespace fastload::image {

namespace {

// Eight pixels, one channel a register, as integers.
struct Eight {
  __m256i red, green, blue;
};

Eight apart(__m256i pixels) {
  const __m256i byte = _mm256_set1_epi32(255);
  return {_mm256_and_si256(pixels, byte), _mm256_and_si256(_mm256_srli_epi32(pixels, 8), byte),
          _mm256_and_si256(_mm256_srli_epi32(pixels, 16), byte)};
}

__m256i together(const Eight& eight) {
  return _mm256_or_si256(eight.red, _mm256_or_si256(_mm256_slli_epi32(eight.green, 8), _mm256_slli_epi32(eight.blue, 16)));
}

// In place; the last pixels of a row go through a copy of them.
template <typename ChangeFn>
void each_eight(uint8_t* rgbx, int32_t count, ChangeFn change) {
  int32_t i = 0;
  for (; i + 8 <= count; i += 8) {
    auto* const at = reinterpret_cast<__m256i*>(rgbx + 4 * static_cast<ptrdiff_t>(i));
    _mm256_storeu_si256(at, change(_mm256_loadu_si256(at)));
  }
  if (i == count) return;
  alignas(32) uint8_t rest[32] = {};
  const size_t bytes = 4 * static_cast<size_t>(count - i);
  std::memcpy(rest, rgbx + 4 * static_cast<ptrdiff_t>(i), bytes);
  auto* const at = reinterpret_cast<__m256i*>(rest);
  _mm256_store_si256(at, change(_mm256_load_si256(at)));
  std::memcpy(rgbx + 4 * static_cast<ptrdiff_t>(i), rest, bytes);
}

__m256i gray_of_eight(const Eight& eight) {
  const __m256i red = _mm256_mullo_epi32(eight.red, _mm256_set1_epi32(19595));
  const __m256i green = _mm256_mullo_epi32(eight.green, _mm256_set1_epi32(38470));
  const __m256i blue = _mm256_mullo_epi32(eight.blue, _mm256_set1_epi32(7471));
  const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(red, green), _mm256_add_epi32(blue, _mm256_set1_epi32(0x8000)));
  return _mm256_srli_epi32(sum, 16);
}

void to_gray(uint8_t* rgbx, int32_t count) {
  each_eight(rgbx, count, [](__m256i pixels) {
    const __m256i gray = gray_of_eight(apart(pixels));
    return together({gray, gray, gray});
  });
}

__m256i blended_eight(__m256i from, __m256i to, __m256 factor) {
  const __m256 way = _mm256_cvtepi32_ps(_mm256_sub_epi32(to, from));
  const __m256 value = _mm256_add_ps(_mm256_cvtepi32_ps(from), _mm256_mul_ps(factor, way));
  return _mm256_cvttps_epi32(_mm256_min_ps(_mm256_max_ps(value, _mm256_setzero_ps()), _mm256_set1_ps(255)));
}

__m256i blended_eight(__m256i from, const Eight& to, __m256 factor) {
  return together({blended_eight(from, to.red, factor), blended_eight(from, to.green, factor), blended_eight(from, to.blue, factor)});
}

void blend(uint8_t* rgbx, int32_t count, uint8_t from, float factor) {
  const __m256i start = _mm256_set1_epi32(from);
  const __m256 by = _mm256_set1_ps(factor);
  each_eight(rgbx, count, [&](__m256i pixels) { return blended_eight(start, apart(pixels), by); });
}

void saturate(uint8_t* rgbx, int32_t count, float factor) {
  const __m256 by = _mm256_set1_ps(factor);
  each_eight(rgbx, count, [&](__m256i pixels) {
    const Eight eight = apart(pixels);
    return blended_eight(gray_of_eight(eight), eight, by);
  });
}

__m256i chosen(__m256i otherwise, __m256i choice, __m256i where) { return _mm256_blendv_epi8(otherwise, choice, where); }

__m256i rounded(__m256 value) { return _mm256_cvttps_epi32(_mm256_add_ps(value, _mm256_set1_ps(0.5f))); }

// Between 0 and 1.
__m256 bounded(__m256 value) { return _mm256_min_ps(_mm256_max_ps(value, _mm256_setzero_ps()), _mm256_set1_ps(1)); }

__m256 distance(__m256 one, float other) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_sub_ps(one, _mm256_set1_ps(other))); }

// Note [hue in float32]
// Pillow computes H in double in between, and each colour from the sixth of the circle that it lies in. In float32 alone, and with each
// channel's share of the saturation as a function of its distance from the channel's own hue, every colour at every shift gives the
// same bytes: tests/core/test_recolour.py has the H of each colour, and the way back from each H, S and V.
__m256i with_hue_shifted(__m256i pixels, __m256i shift) {
  const Eight eight = apart(pixels);
  const __m256i most = _mm256_max_epi32(_mm256_max_epi32(eight.red, eight.green), eight.blue);
  const __m256i least = _mm256_min_epi32(_mm256_min_epi32(eight.red, eight.green), eight.blue);
  const __m256i range_int = _mm256_sub_epi32(most, least);
  const __m256i coloured = _mm256_cmpgt_epi32(range_int, _mm256_setzero_si256());
  const __m256 range = _mm256_cvtepi32_ps(range_int);
  const __m256 value = _mm256_cvtepi32_ps(most);

  // Where the hue lies between two sixths: one of the two other channels is the least, and the distance of the other one decides.
  const __m256i red_first = _mm256_cmpeq_epi32(eight.red, most);
  const __m256i green_first = _mm256_cmpeq_epi32(eight.green, most);
  const __m256i plus = chosen(chosen(eight.green, eight.red, green_first), eight.blue, red_first);
  const __m256i minus = chosen(chosen(eight.red, eight.blue, green_first), eight.green, red_first);
  const __m256i sixths = _mm256_andnot_si256(red_first, chosen(_mm256_set1_epi32(4), _mm256_set1_epi32(2), green_first));
  const __m256i minus_is_least = _mm256_cmpeq_epi32(minus, least);
  const __m256i between = _mm256_sub_epi32(most, _mm256_max_epi32(plus, minus));
  const __m256 part = _mm256_div_ps(_mm256_cvtepi32_ps(between), range);
  const __m256i start = _mm256_add_epi32(sixths, chosen(_mm256_set1_epi32(1), _mm256_set1_epi32(-1), minus_is_least));
  const __m256 sign = _mm256_andnot_ps(_mm256_castsi256_ps(minus_is_least), _mm256_set1_ps(-0.0f));
  const __m256 turn = _mm256_div_ps(_mm256_add_ps(_mm256_cvtepi32_ps(start), _mm256_xor_ps(part, sign)), _mm256_set1_ps(6));
  const __m256 one = _mm256_set1_ps(1);
  const __m256 circle = _mm256_add_ps(turn, _mm256_and_ps(_mm256_cmp_ps(turn, _mm256_setzero_ps(), _CMP_LT_OQ), one));
  const __m256i before = _mm256_cvttps_epi32(_mm256_mul_ps(circle, _mm256_set1_ps(255)));
  const __m256i hue = _mm256_and_si256(_mm256_add_epi32(before, shift), _mm256_set1_epi32(255));
  const __m256i saturation =
      _mm256_and_si256(_mm256_cvttps_epi32(_mm256_mul_ps(_mm256_div_ps(range, value), _mm256_set1_ps(255))), coloured);

  const __m256 after = _mm256_div_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(hue), _mm256_set1_ps(6)), _mm256_set1_ps(255));
  const __m256 pale = _mm256_mul_ps(_mm256_cvtepi32_ps(saturation), _mm256_set1_ps(1.0f / 255));
  const __m256 two = _mm256_set1_ps(2);
  const auto less = [&](__m256 share) { return rounded(_mm256_mul_ps(value, _mm256_sub_ps(one, _mm256_mul_ps(pale, bounded(share))))); };
  return together({less(_mm256_sub_ps(two, distance(after, 3))), less(_mm256_sub_ps(distance(after, 2), one)),
                   less(_mm256_sub_ps(distance(after, 4), one))});
}

void shift_hue(uint8_t* rgbx, int32_t count, int32_t shift) {
  const __m256i by = _mm256_set1_epi32(shift);
  each_eight(rgbx, count, [&](__m256i pixels) { return with_hue_shifted(pixels, by); });
}

uint64_t sum_of_gray(const uint8_t* rgbx, int32_t count) {
  __m256i sums = _mm256_setzero_si256();
  int32_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i pixels = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rgbx + 4 * static_cast<ptrdiff_t>(i)));
    sums = _mm256_add_epi32(sums, gray_of_eight(apart(pixels)));
  }
  alignas(32) uint32_t lanes[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), sums);
  uint64_t sum = kRecolourScalar.sum_of_gray(rgbx + 4 * static_cast<ptrdiff_t>(i), count - i);
  for (const uint32_t lane : lanes) sum += lane;
  return sum;
}

__m256i sixteen(const uint8_t* at) { return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))); }

__m256i three(const uint8_t* at) { return _mm256_add_epi16(_mm256_add_epi16(sixteen(at - 4), sixteen(at)), sixteen(at + 4)); }

void sharpen(const uint8_t* above, const uint8_t* row, const uint8_t* below, uint8_t* out, int32_t count, float factor) {
  const __m256 by = _mm256_set1_ps(factor);
  const ptrdiff_t bytes = 4 * static_cast<ptrdiff_t>(count);
  ptrdiff_t i = 0;
  for (; i + 16 <= bytes; i += 16) {
    const __m256i own = sixteen(row + i);
    const __m256i around = _mm256_add_epi16(_mm256_add_epi16(three(above + i), three(below + i)), three(row + i));
    const __m256i sum = _mm256_add_epi16(_mm256_add_epi16(around, _mm256_slli_epi16(own, 2)), _mm256_set1_epi16(6));
    const __m256i mean = _mm256_mulhi_epu16(sum, _mm256_set1_epi16(5042));  // a thirteenth, exact up to 13 * 255 + 6
    const auto half = [&](__m128i from, __m128i to) { return blended_eight(_mm256_cvtepu16_epi32(from), _mm256_cvtepu16_epi32(to), by); };
    const __m256i low = half(_mm256_castsi256_si128(mean), _mm256_castsi256_si128(own));
    const __m256i high = half(_mm256_extracti128_si256(mean, 1), _mm256_extracti128_si256(own, 1));
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);
    const __m128i packed = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), packed);
  }
  kRecolourScalar.sharpen(above + i, row + i, below + i, out + i, static_cast<int32_t>((bytes - i) / 4), factor);
}

}  // namespace

const RecolourRows kRecolourAvx2 = {to_gray, blend, saturate, shift_hue, sum_of_gray, sharpen};

}  // namespace fastload::image

#endif
