#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>

#include "image/box_rows.h"

namespace fastload::image {

void box_rows_avx2(const BoxWeights& weights, const uint8_t* line, int32_t count, uint8_t* out) {
  const auto pixel = [line](ptrdiff_t x) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(line + 8 * x)));
  };
  const ptrdiff_t radius = weights.radius;
  const __m256i whole = _mm256_set1_epi32(static_cast<int>(weights.whole));
  const __m256i part = _mm256_set1_epi32(static_cast<int>(weights.part));
  __m256i sum = _mm256_setzero_si256();
  for (ptrdiff_t x = -radius - 1; x < radius; ++x) sum = _mm256_add_epi32(sum, pixel(x));
  __m256i next = pixel(radius);
  for (ptrdiff_t x = 0; x < count; ++x) {
    const __m256i left = pixel(x - radius - 1);
    sum = _mm256_add_epi32(sum, _mm256_sub_epi32(next, left));
    next = pixel(x + radius + 1);
    const __m256i ends = _mm256_mullo_epi32(_mm256_add_epi32(left, next), part);
    const __m256i value = _mm256_add_epi32(_mm256_add_epi32(_mm256_mullo_epi32(sum, whole), ends), _mm256_set1_epi32(1 << 23));
    const __m256i byte = _mm256_srli_epi32(value, 24);
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(byte), _mm256_extracti128_si256(byte, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 8 * x), _mm_packus_epi16(words, words));
  }
}

}  // namespace fastload::image

#endif
