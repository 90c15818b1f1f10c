// See Note [division by multiplication] in pack.h for the arithmetic.
#if defined(__x86_64__)

#include <immintrin.h>

#include "image/pack_rows.h"

namespace fastload::image {

namespace {

inline __m256 value_of(__m256i bytes, const ValueMap& map, int32_t c) {
  const __m256 v = _mm256_cvtepi32_ps(bytes);
  const __m256 unit_scale = _mm256_set1_ps(map.unit_scale);
  __m256 t = _mm256_mul_ps(v, unit_scale);
  if (map.divide_by_255) t = _mm256_fmadd_ps(_mm256_fnmadd_ps(t, _mm256_set1_ps(255.0f), v), unit_scale, t);
  if (!map.normalise) return t;
  const __m256 inverse_std = _mm256_set1_ps(map.inverse_std[c]);
  const __m256 d = _mm256_sub_ps(t, _mm256_set1_ps(map.mean[c]));
  const __m256 q = _mm256_mul_ps(d, inverse_std);
  return _mm256_fmadd_ps(_mm256_fnmadd_ps(q, _mm256_set1_ps(map.std[c]), d), inverse_std, q);
}

}  // namespace

void pack_row_avx2(const uint8_t* row, int32_t width, const ValueMap& map, bool hflip, float* out, ptrdiff_t plane) {
  const __m256i mirror = _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i low_byte = _mm256_set1_epi32(0xff);
  for (int32_t x = 0; x < width; x += 8) {
    const int32_t count = width - x < 8 ? width - x : 8;
    const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes);
    const uint8_t* from = row + 4 * static_cast<ptrdiff_t>(hflip ? width - x - count : x);
    __m256i pixels = _mm256_maskload_epi32(reinterpret_cast<const int*>(from), mask);
    if (hflip) {
      pixels = _mm256_permutevar8x32_epi32(pixels, _mm256_sub_epi32(mirror, _mm256_set1_epi32(8 - count)));
    }
    for (int32_t c = 0; c < map.channels; ++c) {
      const __m256i bytes = _mm256_and_si256(_mm256_srli_epi32(pixels, 8 * c), low_byte);
      float* to = out + c * plane + x;
      const __m256 values = value_of(bytes, map, c);
      if (count == 8 && reinterpret_cast<uintptr_t>(to) % 32 == 0) {
        _mm256_stream_ps(to, values);  // past the caches, as in pack_avx512.cpp
      } else {
        _mm256_maskstore_ps(to, mask, values);
      }
    }
  }
}

}  // namespace fastload::image

#endif
