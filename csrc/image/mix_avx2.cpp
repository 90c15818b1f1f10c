#if defined(__x86_64__)

#include <immintrin.h>

#include "image/mix_kernels.h"

namespace fastload::image {

namespace {

constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;

__m256 channel(__m256i pixels, int which, float factor) {
  const __m256i values = _mm256_and_si256(_mm256_srli_epi32(pixels, 8 * which), _mm256_set1_epi32(0xff));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(values), _mm256_set1_ps(factor));
}

void gray_row_avx2(const uint8_t* rgbx, int32_t count, uint8_t* out) {
  int32_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i pixels = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rgbx + 4 * static_cast<ptrdiff_t>(i)));
    const __m256 sum = _mm256_add_ps(_mm256_add_ps(channel(pixels, 0, 0.2989f), channel(pixels, 1, 0.587f)), channel(pixels, 2, 0.114f));
    const __m256i grays = _mm256_mullo_epi32(_mm256_cvttps_epi32(sum), _mm256_set1_epi32(0x01010101));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 4 * static_cast<ptrdiff_t>(i)), grays);
  }
  gray_rest(rgbx, i, count, out);
}

// Where eight neighbours of a row lie in the source, one coordinate.
__m256 places(__m256 at_x, float at_y, const float theta[3][2], int coordinate, const GridStyle& style, float half) {
  const __m256 along = _mm256_mul_ps(at_x, _mm256_set1_ps(theta[0][coordinate]));
  const __m256 down = _mm256_set1_ps(theta[1][coordinate]);
  const __m256 sum = style.is_fused ? _mm256_fmadd_ps(_mm256_set1_ps(at_y), down, along)
                                    : _mm256_add_ps(along, _mm256_mul_ps(_mm256_set1_ps(at_y), down));
  const __m256 from_1 = _mm256_add_ps(_mm256_add_ps(sum, _mm256_set1_ps(theta[2][coordinate])), _mm256_set1_ps(1));
  return _mm256_fmadd_ps(from_1, _mm256_set1_ps(half), _mm256_set1_ps(-0.5f));
}

int bits(__m256 mask) { return _mm256_movemask_ps(mask); }

// The channels of the pixels at `from` and at `to`.
__m256 pair(const uint8_t* from, const uint8_t* to) {
  int32_t pixels[2];
  std::memcpy(&pixels[0], from, 4);
  std::memcpy(&pixels[1], to, 4);
  const __m128i both = _mm_insert_epi32(_mm_cvtsi32_si128(pixels[0]), pixels[1], 1);
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(both));
}

// Eight pixels all of whose corners are in the source. The order of the sums is that of `bilinear`.
void bilinear_inside(const Pixels& source, __m256 x, __m256 y, uint8_t* out) {
  const __m256 left = _mm256_round_ps(x, kDown), top = _mm256_round_ps(y, kDown);
  const __m256 one = _mm256_set1_ps(1);
  const __m256 from_left = _mm256_sub_ps(x, left), to_right = _mm256_sub_ps(one, from_left);
  const __m256 from_top = _mm256_sub_ps(y, top), to_bottom = _mm256_sub_ps(one, from_top);
  const __m256 weights[4] = {_mm256_mul_ps(to_bottom, to_right), _mm256_mul_ps(to_bottom, from_left), _mm256_mul_ps(from_top, to_right),
                             _mm256_mul_ps(from_top, from_left)};
  alignas(32) int32_t columns[8], rows[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(columns), _mm256_cvttps_epi32(left));
  _mm256_store_si256(reinterpret_cast<__m256i*>(rows), _mm256_cvttps_epi32(top));
  __m256i which = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  for (int i = 0; i < 8; i += 2, out += 8, which = _mm256_add_epi32(which, _mm256_set1_epi32(2))) {
    const uint8_t* const first = source.row(rows[i]) + 4 * static_cast<ptrdiff_t>(columns[i]);
    const uint8_t* const second = source.row(rows[i + 1]) + 4 * static_cast<ptrdiff_t>(columns[i + 1]);
    const ptrdiff_t corners[4] = {0, 4, source.stride, source.stride + 4};
    __m256 sum = _mm256_mul_ps(pair(first, second), _mm256_permutevar8x32_ps(weights[0], which));
    for (int k = 1; k < 4; ++k) {
      sum = _mm256_fmadd_ps(pair(first + corners[k], second + corners[k]), _mm256_permutevar8x32_ps(weights[k], which), sum);
    }
    const __m256i nearest = _mm256_cvtps_epi32(sum);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(nearest), _mm256_extracti128_si256(nearest, 1));
    const __m128i bytes = _mm_and_si128(_mm_packus_epi16(words, words), _mm_set1_epi32(0xffffff));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), bytes);
  }
}

void warp_row_avx2(const Pixels& source, const float theta[3][2], const GridStyle& style, int32_t y, uint8_t* out) {
  const float width = static_cast<float>(source.width), height = static_cast<float>(source.height);
  const float half_width = width / 2, half_height = height / 2;
  const float at_y = static_cast<float>(y) - (half_height - 0.5f);
  const __m256 zero = _mm256_setzero_ps();
  const __m256 lanes = _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7);
  int32_t i = 0;
  for (; i + 8 <= source.width; i += 8, out += 32) {
    const __m256 column = _mm256_add_ps(_mm256_set1_ps(static_cast<float>(i)), lanes);
    const __m256 at_x = _mm256_sub_ps(column, _mm256_set1_ps(half_width - 0.5f));
    const __m256 to_x = places(at_x, at_y, theta, 0, style, half_width), to_y = places(at_x, at_y, theta, 1, style, half_height);
    const __m256 below = _mm256_and_ps(_mm256_cmp_ps(to_x, _mm256_set1_ps(width), _CMP_LT_OQ),
                                       _mm256_cmp_ps(to_y, _mm256_set1_ps(height), _CMP_LT_OQ));
    const __m256 above = _mm256_and_ps(_mm256_cmp_ps(to_x, _mm256_set1_ps(-1), _CMP_GT_OQ), _mm256_cmp_ps(to_y, _mm256_set1_ps(-1), _CMP_GT_OQ));
    const int near = bits(_mm256_and_ps(below, above));
    if (near == 0) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_setzero_si256());
      continue;
    }
    const __m256 in_x = _mm256_and_ps(_mm256_cmp_ps(to_x, zero, _CMP_GE_OQ), _mm256_cmp_ps(to_x, _mm256_set1_ps(width - 1), _CMP_LT_OQ));
    const __m256 in_y = _mm256_and_ps(_mm256_cmp_ps(to_y, zero, _CMP_GE_OQ), _mm256_cmp_ps(to_y, _mm256_set1_ps(height - 1), _CMP_LT_OQ));
    if (!style.is_nearest && bits(_mm256_and_ps(in_x, in_y)) == 0xff) {
      bilinear_inside(source, to_x, to_y, out);
      continue;
    }
    alignas(32) float x[8], rows[8];
    _mm256_store_ps(x, to_x);
    _mm256_store_ps(rows, to_y);
    for (int k = 0; k < 8; ++k) warp_pixel(source, style, x[k], rows[k], out + 4 * k);
  }
  warp_rest(source, theta, style, y, i, out);
}

}  // namespace

const MixRows kMixAvx2 = {blend_row, gray_row_avx2, blur_row, warp_row_avx2, combine_row};

}  // namespace fastload::image

#endif
