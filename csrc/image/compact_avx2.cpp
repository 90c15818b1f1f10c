#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "image/compact_rows.h"

namespace fastload::image {

// Eight pixels at a time: 24 bytes are wanted, and the load of the upper half reads four before its own, so that nothing behind the
// row is touched.
void spread_row_avx2(const uint8_t* rgb, uint8_t* rgbx, int32_t count) {
  const __m256i order = _mm256_setr_epi8(0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12,  //
                                         4, 5, 6, 7, 7, 8, 9, 10, 10, 11, 12, 13, 13, 14, 15, 15);
  int32_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const uint8_t* from = rgb + 3 * static_cast<ptrdiff_t>(i);
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 8));
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(rgbx + 4 * static_cast<ptrdiff_t>(i)), _mm256_shuffle_epi8(both, order));
  }
  for (; i < count; ++i) {
    std::memcpy(rgbx + 4 * static_cast<ptrdiff_t>(i), rgb + 3 * static_cast<ptrdiff_t>(i), 4);
  }
}

}  // namespace fastload::image

#endif
