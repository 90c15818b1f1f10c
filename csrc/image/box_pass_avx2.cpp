#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>

#include "image/box_pass.h"

namespace fastload::image {

namespace {

constexpr int kLowBits = 12;

inline __m256i sixteen(const uint8_t* at) { return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))); }

// Two 16-bit numbers side by side, for products with a sum and the two ends.
inline __m256i pairs(uint32_t whole, uint32_t part) { return _mm256_set1_epi32(static_cast<int32_t>(whole | part << 16)); }

struct Halves {
  __m256i high, low;  // of both weights

  // The weighted sums of eight bytes: products of 12 bits of the weights at a time, exact modulo 2^32.
  __m256i weighted(__m256i sums_and_ends) const {
    const __m256i upper = _mm256_slli_epi32(_mm256_madd_epi16(sums_and_ends, high), kLowBits);
    const __m256i value = _mm256_add_epi32(upper, _mm256_madd_epi16(sums_and_ends, low));
    return _mm256_srli_epi32(_mm256_add_epi32(value, _mm256_set1_epi32(1 << 23)), 24);
  }
};

inline int32_t within(int32_t y, int32_t height) { return y < 0 ? 0 : y < height ? y : height - 1; }

}  // namespace

void box_pass_avx2(const BoxWeights& weights, const Pixels& source, uint8_t* sums, const Pixels& out) {
  const int32_t radius = weights.radius;
  const ptrdiff_t bytes = 4 * static_cast<ptrdiff_t>(source.width);
  const ptrdiff_t whole_blocks = bytes / 16 * 16;
  auto* const columns = reinterpret_cast<uint16_t*>(sums);
  for (ptrdiff_t i = 0; i < bytes; ++i) columns[i] = 0;
  for (int32_t y = -radius - 1; y < radius; ++y) {
    const uint8_t* const row = source.row(within(y, source.height));
    for (ptrdiff_t i = 0; i < bytes; ++i) columns[i] = static_cast<uint16_t>(columns[i] + row[i]);
  }
  constexpr uint32_t kLow = (1u << kLowBits) - 1;
  const Halves halves = {pairs(weights.whole >> kLowBits, weights.part >> kLowBits), pairs(weights.whole & kLow, weights.part & kLow)};
  for (int32_t y = 0; y < source.height; ++y) {
    const uint8_t* const before = source.row(within(y - radius - 1, source.height));
    const uint8_t* const entering = source.row(within(y + radius, source.height));
    const uint8_t* const after = source.row(within(y + radius + 1, source.height));
    uint8_t* const to = out.row(y);
    for (ptrdiff_t i = 0; i < whole_blocks; i += 16) {
      auto* const at = reinterpret_cast<__m256i*>(columns + i);
      const __m256i left = sixteen(before + i);
      const __m256i sum = _mm256_add_epi16(_mm256_load_si256(at), _mm256_sub_epi16(sixteen(entering + i), left));
      _mm256_store_si256(at, sum);
      const __m256i ends = _mm256_add_epi16(left, sixteen(after + i));
      const __m256i low = halves.weighted(_mm256_unpacklo_epi16(sum, ends));
      const __m256i high = halves.weighted(_mm256_unpackhi_epi16(sum, ends));
      const __m256i words = _mm256_packus_epi32(low, high);
      const __m128i packed = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), packed);
    }
    for (ptrdiff_t i = whole_blocks; i < bytes; ++i) {
      columns[i] = static_cast<uint16_t>(columns[i] + entering[i] - before[i]);
      const auto ends = static_cast<uint32_t>(before[i] + after[i]);
      to[i] = static_cast<uint8_t>((columns[i] * weights.whole + ends * weights.part + (1u << 23)) >> 24);
    }
  }
}

}  // namespace fastload::image

#endif
