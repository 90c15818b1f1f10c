#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "image/gaussian_rows.h"

namespace fastload::image {

namespace {

// Two pixels a register.
void to_floats(const uint8_t* rgbx, int32_t count, float* out) {
  for (ptrdiff_t i = 0; i < 4 * static_cast<ptrdiff_t>(count); i += 8) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(rgbx + i));
    _mm256_storeu_ps(out + i, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)));
  }
}

void across(const float* in, const float* weights, int32_t taps, int32_t count, float* out) {
  for (ptrdiff_t i = 0; i < 4 * static_cast<ptrdiff_t>(count); i += 32) {
    __m256 sums[4] = {};
    for (ptrdiff_t tap = 0; tap < taps; ++tap) {
      const __m256 weight = _mm256_broadcast_ss(weights + tap);
      for (int k = 0; k < 4; ++k) sums[k] = _mm256_fmadd_ps(weight, _mm256_loadu_ps(in + i + 4 * tap + 8 * k), sums[k]);
    }
    for (int k = 0; k < 4; ++k) _mm256_storeu_ps(out + i + 8 * k, sums[k]);
  }
}

// A bit for each of eight numbers, of which the fourth and the eighth are nobody's.
uint32_t near_half(__m256 sum, __m256 doubt) {
  const __m256 beyond = _mm256_sub_ps(_mm256_sub_ps(sum, _mm256_floor_ps(sum)), _mm256_set1_ps(0.5f));
  const __m256 distance = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), beyond);
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(distance, doubt, _CMP_LE_OQ))) & 0x77u;
}

int32_t down(const float* const* rows, const float* weights, int32_t taps, int32_t count, float doubt, uint8_t* rgbx,
             int32_t* doubtful) {
  const __m256 near = _mm256_set1_ps(doubt);
  const __m256i in_turn = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  int32_t found = 0;
  for (int32_t x = 0; x < count; x += 8) {
    const ptrdiff_t i = 4 * static_cast<ptrdiff_t>(x);
    __m256 sums[4] = {};
    for (int32_t tap = 0; tap < taps; ++tap) {
      const __m256 weight = _mm256_broadcast_ss(weights + tap);
      for (int k = 0; k < 4; ++k) sums[k] = _mm256_fmadd_ps(weight, _mm256_loadu_ps(rows[tap] + i + 8 * k), sums[k]);
    }
    uint32_t doubts = 0;
    __m256i rounded[4];
    for (int k = 0; k < 4; ++k) {
      rounded[k] = _mm256_cvtps_epi32(sums[k]);
      doubts |= near_half(sums[k], near) << (8 * k);
    }
    const __m256i halves = _mm256_packus_epi16(_mm256_packs_epi32(rounded[0], rounded[1]), _mm256_packs_epi32(rounded[2], rounded[3]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(rgbx + i), _mm256_permutevar8x32_epi32(halves, in_turn));
    for (int32_t pixel = x; doubts != 0 && pixel < count; ++pixel, doubts >>= 4) {
      if ((doubts & 0xfu) != 0) doubtful[found++] = pixel;
    }
  }
  return found;
}

// So many sums are under way at once: each has to wait four cycles for its last one.
constexpr int32_t kTogether = 8;

void in_order(const KernelPart& kernel, const uint8_t* rgbx, ptrdiff_t stride, const int32_t* columns, int32_t count, uint8_t* out) {
  for (int32_t first = 0; first < count; first += kTogether) {
    const uint8_t* from[kTogether];
    __m128 sums[kTogether];
    for (int32_t k = 0; k < kTogether; ++k) {
      from[k] = rgbx + 4 * static_cast<ptrdiff_t>(columns[std::min(first + k, count - 1)]);
      sums[k] = _mm_setzero_ps();
    }
    for (int32_t y = 0; y < kernel.height; ++y) {
      const float* const weights = kernel.weights + static_cast<ptrdiff_t>(y) * kernel.stride;
      for (ptrdiff_t x = 0; x < kernel.width; ++x) {
        const __m128 weight = _mm_broadcast_ss(weights + x);
        for (int32_t k = 0; k < kTogether; ++k) {
          int32_t pixel;
          std::memcpy(&pixel, from[k] + y * stride + 4 * x, sizeof pixel);
          const __m128 value = _mm_cvtepi32_ps(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(pixel)));
          sums[k] = _mm_fmadd_ps(value, weight, sums[k]);
        }
      }
    }
    for (int32_t k = 0; k < std::min(kTogether, count - first); ++k) {
      const __m128i words = _mm_packs_epi32(_mm_cvtps_epi32(sums[k]), _mm_setzero_si128());
      const int32_t pixel = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
      std::memcpy(out + 4 * static_cast<ptrdiff_t>(columns[first + k]), &pixel, sizeof pixel);
    }
  }
}

}  // namespace

const GaussianRows kGaussianAvx2 = {to_floats, across, down, in_order};

}  // namespace fastload::image

#endif
