#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstring>

#include "image/warp_rows.h"

namespace fastload::image {

namespace {

constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;

// by[0] x + by[1] y + by[2], in that order, of four places beside one another; `row` is by[1] y.
__m256d along(const double* by, __m256d right, double row) {
  return _mm256_add_pd(_mm256_add_pd(_mm256_mul_pd(_mm256_set1_pd(by[0]), right), _mm256_set1_pd(row)), _mm256_set1_pd(by[2]));
}

__m256d is_out(__m256d place, __m256d most) {
  return _mm256_or_pd(_mm256_cmp_pd(place, _mm256_setzero_pd(), _CMP_LT_OQ), _mm256_cmp_pd(place, most, _CMP_GE_OQ));
}

// The lower halves of four words of 64 bits.
__m128i narrowed(__m256d mask) {
  const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
  return _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(_mm256_castpd_si256(mask), order));
}

__m128i is_within(__m128i values, int32_t from, int32_t count) {
  return _mm_and_si128(_mm_cmpgt_epi32(values, _mm_set1_epi32(from - 1)), _mm_cmpgt_epi32(_mm_set1_epi32(from + count), values));
}

void locate(const WarpMap& map, int32_t x, int32_t y, int32_t count, Places* out) {
  const double* const by = map.by;
  const double down = y + 0.5;
  const double row_x = by[1] * down;
  const double row_y = by[4] * down;
  const double row_depth = by[7] * down;
  const __m256d width = _mm256_set1_pd(map.width);
  const __m256d height = _mm256_set1_pd(map.height);
  const __m256d shift = _mm256_set1_pd(map.shift);
  const Box& inner = map.inner;
  out->inner = 0;
  for (int32_t i = 0; i < count; i += 4) {
    const __m128i columns = _mm_add_epi32(_mm_set1_epi32(x + i), _mm_setr_epi32(0, 1, 2, 3));
    const __m256d right = _mm256_add_pd(_mm256_cvtepi32_pd(columns), _mm256_set1_pd(0.5));
    __m256d at_x = along(by, right, row_x);
    __m256d at_y = along(by + 3, right, row_y);
    if (map.is_perspective) {
      const __m256d slope = _mm256_add_pd(_mm256_mul_pd(_mm256_set1_pd(by[6]), right), _mm256_set1_pd(row_depth));
      const __m256d depth = _mm256_add_pd(slope, _mm256_set1_pd(1));
      at_x = _mm256_div_pd(at_x, depth);
      at_y = _mm256_div_pd(at_y, depth);
    }
    const __m128i outside = narrowed(_mm256_or_pd(is_out(at_x, width), is_out(at_y, height)));
    at_x = _mm256_sub_pd(at_x, shift);
    at_y = _mm256_sub_pd(at_y, shift);
    const __m256d left = _mm256_round_pd(at_x, kDown);
    const __m256d top = _mm256_round_pd(at_y, kDown);
    const __m128i left_int = _mm_blendv_epi8(_mm256_cvttpd_epi32(left), _mm_set1_epi32(kOutside), outside);
    _mm_store_si128(reinterpret_cast<__m128i*>(out->x + i), left_int);
    const __m128i top_int = _mm256_cvttpd_epi32(top);
    _mm_store_si128(reinterpret_cast<__m128i*>(out->y + i), top_int);
    const __m128i is_inner = _mm_and_si128(is_within(left_int, inner.x, inner.width), is_within(top_int, inner.y, inner.height));
    out->inner |= static_cast<uint64_t>(_mm_movemask_ps(_mm_castsi128_ps(is_inner))) << i;
    _mm256_store_pd(out->right + i, _mm256_sub_pd(at_x, left));
    _mm256_store_pd(out->down + i, _mm256_sub_pd(at_y, top));
  }
}

void nearest(const Pixels& source, int32_t x, int32_t y, int32_t dx, int32_t dy, int32_t count, uint8_t* out) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i stride = _mm256_set1_epi32(static_cast<int32_t>(source.stride / 4));
  __m256i at_x = _mm256_add_epi32(_mm256_set1_epi32(x), _mm256_mullo_epi32(lanes, _mm256_set1_epi32(dx)));
  __m256i at_y = _mm256_add_epi32(_mm256_set1_epi32(y), _mm256_mullo_epi32(lanes, _mm256_set1_epi32(dy)));
  const __m256i step_x = _mm256_slli_epi32(_mm256_set1_epi32(dx), 3);
  const __m256i step_y = _mm256_slli_epi32(_mm256_set1_epi32(dy), 3);
  int32_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i rows = _mm256_mullo_epi32(_mm256_srai_epi32(at_y, 16), stride);
    const __m256i index = _mm256_add_epi32(rows, _mm256_srai_epi32(at_x, 16));
    const __m256i pixels = _mm256_i32gather_epi32(reinterpret_cast<const int*>(source.data), index, 4);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 4 * static_cast<ptrdiff_t>(i)), pixels);
    at_x = _mm256_add_epi32(at_x, step_x);
    at_y = _mm256_add_epi32(at_y, step_y);
  }
  kWarpScalar.nearest(source, _mm256_cvtsi256_si32(at_x), _mm256_cvtsi256_si32(at_y), dx, dy, count - i,
                      out + 4 * static_cast<ptrdiff_t>(i));
}

// The pixels of places.
class Looked {
 public:
  Looked(const Pixels& source, const Box& corner, const Places& places)
      : data_(source.data), stride_(source.stride), origin_(-corner.y * source.stride - 4 * ptrdiff_t{corner.x}), x_(places.x), y_(places.y) {}
  const uint8_t* at(int32_t i) const { return data_ + (origin_ + y_[i] * stride_ + 4 * ptrdiff_t{x_[i]}); }

 private:
  const uint8_t* const data_;
  const ptrdiff_t stride_;
  const ptrdiff_t origin_;
  const int32_t* const x_;
  const int32_t* const y_;
};

// The channels of a pixel.
__m256d channels(const uint8_t* at) {
  int32_t pixel;
  std::memcpy(&pixel, at, sizeof pixel);
  return _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(pixel)));
}

__m256d mixed(__m256d from, __m256d to, __m256d way) {
  return _mm256_add_pd(from, _mm256_mul_pd(_mm256_sub_pd(to, from), way));
}

__m256d cubic(__m256d v1, __m256d v2, __m256d v3, __m256d v4, __m256d way) {
  const __m256d p2 = _mm256_sub_pd(v3, v1);
  const __m256d difference = _mm256_sub_pd(v1, v2);
  const __m256d p3 = _mm256_sub_pd(_mm256_add_pd(_mm256_add_pd(difference, difference), v3), v4);
  const __m256d p4 = _mm256_add_pd(_mm256_sub_pd(_mm256_sub_pd(v2, v1), v3), v4);
  const __m256d inner = _mm256_add_pd(p3, _mm256_mul_pd(way, p4));
  return _mm256_add_pd(v2, _mm256_mul_pd(way, _mm256_add_pd(p2, _mm256_mul_pd(way, inner))));
}

// Cut to integers of 0 to 255.
void store_pixel(__m256d value, uint8_t* out) {
  const __m128i ints = _mm256_cvttpd_epi32(value);
  const __m128i bytes = _mm_packus_epi16(_mm_packs_epi32(ints, ints), ints);
  const int32_t pixel = _mm_cvtsi128_si32(bytes);
  std::memcpy(out, &pixel, sizeof pixel);
}

// Note [bilinear in float32]
// Pillow mixes four pixels in double and cuts to an integer. In float32 the value is the same but for less than 4e-5 (three sums of
// up to 255, each rounded, and two ways that are off by 3e-8), so that the integer is certain where it is the same kMixError below
// and above. Elsewhere, which is one pixel in a thousand, they are mixed in double; but four equal values are that value.
constexpr float kMixError = 1e-4f;

void bilinear_in_double(const uint8_t* upper, ptrdiff_t stride, double right, double down, uint8_t* out) {
  const uint8_t* const lower = upper + stride;
  const __m256d way = _mm256_set1_pd(right);
  const __m256d above = mixed(channels(upper), channels(upper + 4), way);
  const __m256d below = mixed(channels(lower), channels(lower + 4), way);
  store_pixel(mixed(above, below, _mm256_set1_pd(down)), out);
}

// What is mixed at places: pairs of pixels, copied one by one, so that whole vectors of them can be read.
struct Pairs {
  alignas(32) uint64_t upper[kWarpChunk + kWarpSlack];
  alignas(32) uint64_t lower[kWarpChunk + kWarpSlack];

  void read(const uint8_t* origin, ptrdiff_t stride, const int32_t* at, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
      const uint8_t* const from = origin + 4 * ptrdiff_t{at[i]};
      std::memcpy(upper + i, from, sizeof upper[i]);
      std::memcpy(lower + i, from + stride, sizeof lower[i]);
    }
  }
};

// Of eight pairs the left pixels and the right ones, in this order: 0, 1, 4, 5, 2, 3, 6, 7.
inline void take_apart(const uint64_t* pairs, __m256i out[2]) {
  const __m256 one = _mm256_load_ps(reinterpret_cast<const float*>(pairs));
  const __m256 other = _mm256_load_ps(reinterpret_cast<const float*>(pairs + 4));
  out[0] = _mm256_castps_si256(_mm256_shuffle_ps(one, other, 0x88));
  out[1] = _mm256_castps_si256(_mm256_shuffle_ps(one, other, 0xdd));
}

// Into that order, and out of it.
inline __m256i reordered(__m256i values) { return _mm256_permute4x64_epi64(values, 0xd8); }

template <int kChannel>
inline __m256 channel(__m256i pixels) {
  const __m256i at = _mm256_set1_epi32(static_cast<int32_t>(0x80808000U + kChannel));
  const __m256i lanes = _mm256_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12);
  return _mm256_cvtepi32_ps(_mm256_shuffle_epi8(pixels, _mm256_add_epi32(at, lanes)));
}

// Eight mixtures of four pixels each.
struct Mixture {
  __m256i upper[2];
  __m256i lower[2];
  __m256 right;
  __m256 down;
  __m256i least = _mm256_setzero_si256();  // what it may be
  __m256i most = _mm256_setzero_si256();

  template <int kChannel>
  void mix() {
    const __m256 above_left = channel<kChannel>(upper[0]);
    const __m256 below_left = channel<kChannel>(lower[0]);
    const __m256 above = _mm256_fmadd_ps(_mm256_sub_ps(channel<kChannel>(upper[1]), above_left), right, above_left);
    const __m256 below = _mm256_fmadd_ps(_mm256_sub_ps(channel<kChannel>(lower[1]), below_left), right, below_left);
    const __m256 value = _mm256_fmadd_ps(_mm256_sub_ps(below, above), down, above);
    const __m256i low = _mm256_cvttps_epi32(_mm256_sub_ps(value, _mm256_set1_ps(kMixError)));
    const __m256i high = _mm256_cvttps_epi32(_mm256_add_ps(value, _mm256_set1_ps(kMixError)));
    least = _mm256_or_si256(least, _mm256_slli_epi32(low, 8 * kChannel));
    most = _mm256_or_si256(most, _mm256_slli_epi32(high, 8 * kChannel));
  }

  // Bit i: that of place i is not certain.
  int unsure() const {
    const __m256i differs = _mm256_xor_si256(least, most);
    if (_mm256_testz_si256(differs, differs) != 0) return 0;
    const __m256i above = _mm256_or_si256(_mm256_xor_si256(upper[0], upper[1]), _mm256_xor_si256(upper[0], lower[0]));
    const __m256i varies = _mm256_or_si256(above, _mm256_xor_si256(upper[0], lower[1]));
    const __m256i is_flat = _mm256_cmpeq_epi8(varies, _mm256_setzero_si256());
    const __m256i is_sure = _mm256_cmpeq_epi32(_mm256_andnot_si256(is_flat, differs), _mm256_setzero_si256());
    return ~_mm256_movemask_ps(_mm256_castsi256_ps(is_sure)) & 0xff;
  }
};

inline __m256 joined(__m256d low, __m256d high) { return _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low)); }

inline __m256 ways_of(const double* ways) {
  return _mm256_castsi256_ps(reordered(_mm256_castps_si256(joined(_mm256_load_pd(ways), _mm256_load_pd(ways + 4)))));
}

// Pixels `at` from the origin.
struct Spots {
  alignas(32) int32_t at[kWarpChunk + kWarpSlack];
  alignas(32) double right[kWarpChunk + kWarpSlack];
  alignas(32) double down[kWarpChunk + kWarpSlack];
};

void bilinear_spots(const uint8_t* origin, ptrdiff_t stride, const Spots& spots, int32_t count, uint8_t* out) {
  Pairs pairs;
  pairs.read(origin, stride, spots.at, count);
  for (int32_t i = 0; i < count; i += 8) {
    Mixture mixture;
    take_apart(pairs.upper + i, mixture.upper);
    take_apart(pairs.lower + i, mixture.lower);
    mixture.right = ways_of(spots.right + i);
    mixture.down = ways_of(spots.down + i);
    mixture.mix<0>();
    mixture.mix<1>();
    mixture.mix<2>();
    const __m256i pixels = reordered(mixture.most);
    if (i + 8 <= count) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 4 * ptrdiff_t{i}), pixels);
    } else {
      alignas(32) uint8_t last[32];
      _mm256_store_si256(reinterpret_cast<__m256i*>(last), pixels);
      std::memcpy(out + 4 * ptrdiff_t{i}, last, 4 * static_cast<size_t>(count - i));
    }
    for (int unsure = mixture.unsure(); unsure != 0; unsure &= unsure - 1) {
      constexpr int kOrder[8] = {0, 1, 4, 5, 2, 3, 6, 7};
      const int32_t k = i + kOrder[__builtin_ctz(static_cast<unsigned>(unsure))];
      if (k >= count) continue;
      bilinear_in_double(origin + 4 * ptrdiff_t{spots.at[k]}, stride, spots.right[k], spots.down[k], out + 4 * ptrdiff_t{k});
    }
  }
}

// Where pixel (0, 0) of the input would be.
const uint8_t* origin_of(const Pixels& source, const Box& corner) {
  return source.data + (-corner.y * source.stride - 4 * ptrdiff_t{corner.x});
}

void bilinear_inside(const WarpMap& map, const Pixels& source, const Box& corner, int32_t x, int32_t y, int32_t count,
                     uint8_t* out) {
  const uint8_t* const origin = origin_of(source, corner);
  const __m256d row_pixels = _mm256_set1_pd(static_cast<double>(source.stride / 4));
  const __m256d shift = _mm256_set1_pd(map.shift);
  const double row_x = map.by[1] * (y + 0.5);
  const double row_y = map.by[4] * (y + 0.5);
  Spots spots;
  for (int32_t begin = 0; begin < count; begin += kWarpChunk) {
    const int32_t chunk = count - begin < kWarpChunk ? count - begin : kWarpChunk;
    for (int32_t i = 0; i < chunk; i += 4) {
      const __m256d column = _mm256_add_pd(_mm256_set1_pd(x + begin + i), _mm256_setr_pd(0.5, 1.5, 2.5, 3.5));
      const __m256d at_x = _mm256_sub_pd(along(map.by, column, row_x), shift);
      const __m256d at_y = _mm256_sub_pd(along(map.by + 3, column, row_y), shift);
      const __m256d left = _mm256_round_pd(at_x, kDown);
      const __m256d top = _mm256_round_pd(at_y, kDown);
      _mm256_store_pd(spots.right + i, _mm256_sub_pd(at_x, left));
      _mm256_store_pd(spots.down + i, _mm256_sub_pd(at_y, top));
      const __m256d pixel = _mm256_add_pd(_mm256_mul_pd(top, row_pixels), left);  // a whole number
      _mm_store_si128(reinterpret_cast<__m128i*>(spots.at + i), _mm256_cvttpd_epi32(pixel));
    }
    bilinear_spots(origin, source.stride, spots, chunk, out + 4 * ptrdiff_t{begin});
  }
}

void bilinear(const Pixels& source, const Box& corner, const Places& places, int32_t first, int32_t count, uint8_t* out) {
  const auto row_pixels = static_cast<int32_t>(source.stride / 4);
  Spots spots;
  for (int32_t i = 0; i < count; ++i) {
    spots.at[i] = places.y[first + i] * row_pixels + places.x[first + i];
    spots.right[i] = places.right[first + i];
    spots.down[i] = places.down[first + i];
  }
  bilinear_spots(origin_of(source, corner), source.stride, spots, count, out);
}

// Note [bicubic in float32]
// Pillow mixes sixteen pixels in double and cuts to an integer. In float32, with the weights of the pixels, the value is the same
// but for less than kFloatError (sixteen products of up to 255 whose weights sum up to 2.25 and are off by 2e-6 at most), so that
// the integer is certain unless one lies as near. That is one pixel in a hundred; those are mixed in double.
constexpr float kFloatError = 2e-3f;

uint32_t pixel_value(const uint8_t* at) {
  uint32_t pixel;
  std::memcpy(&pixel, at, sizeof pixel);
  return pixel;
}

void bicubic_in_double(const uint8_t* corner, ptrdiff_t stride, double right, double down, uint8_t* out) {
  __m128i differences = _mm_setzero_si128();
  const __m128i first = _mm_set1_epi32(static_cast<int32_t>(pixel_value(corner)));
  for (int r = 0; r < 4; ++r) {
    const __m128i row = _mm_loadu_si128(reinterpret_cast<const __m128i*>(corner + r * stride));
    differences = _mm_or_si128(differences, _mm_xor_si128(row, first));
  }
  if (_mm_testz_si128(differences, _mm_set1_epi32(0xffffff))) return copy_pixel(corner, out);
  const __m256d way = _mm256_set1_pd(right);
  __m256d rows[4];
  for (int r = 0; r < 4; ++r) {
    const uint8_t* const at = corner + r * stride;
    rows[r] = cubic(channels(at), channels(at + 4), channels(at + 8), channels(at + 12), way);
  }
  store_pixel(cubic(rows[0], rows[1], rows[2], rows[3], _mm256_set1_pd(down)), out);
}

// Of four places: the weights of the four pixels along an axis, those of one place beside one another.
void weights(const double* ways, __m128 out[4]) {
  const __m128 way = _mm256_cvtpd_ps(_mm256_loadu_pd(ways));
  const __m128 square = _mm_mul_ps(way, way);
  const __m128 cube = _mm_mul_ps(square, way);
  const __m128 twice = _mm_add_ps(square, square);
  out[0] = _mm_sub_ps(_mm_sub_ps(twice, cube), way);
  out[1] = _mm_add_ps(_mm_sub_ps(_mm_set1_ps(1), twice), cube);
  out[2] = _mm_sub_ps(_mm_add_ps(way, square), cube);
  out[3] = _mm_sub_ps(cube, square);
  _MM_TRANSPOSE4_PS(out[0], out[1], out[2], out[3]);
}

// Two pixels.
__m256 pair(const uint8_t* at) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)))); }

void bicubic(const Pixels& source, const Box& corner, const Places& places, int32_t first, int32_t count, uint8_t* out) {
  const __m256i of_first = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  const __m256i of_last = _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3);
  const Looked pixels(source, corner, places);
  const ptrdiff_t stride = source.stride;
  for (int32_t i = first; i < first + count; i += 4) {
    __m128 along[4];
    __m128 across[4];
    weights(places.right + i, along);
    weights(places.down + i, across);
    for (int32_t k = 0; k < 4 && i + k < first + count; ++k, out += 4) {
      const uint8_t* const at = pixels.at(i + k) - stride - 4;
      const __m256 both = _mm256_castps128_ps256(along[k]);
      const __m256 left = _mm256_permutevar8x32_ps(both, of_first);
      const __m256 right = _mm256_permutevar8x32_ps(both, of_last);
      alignas(16) float of_rows[4];
      _mm_store_ps(of_rows, across[k]);
      __m256 sum = _mm256_setzero_ps();
      for (int r = 0; r < 4; ++r) {
        const uint8_t* const row = at + r * stride;
        const __m256 mixed = _mm256_fmadd_ps(pair(row + 8), right, _mm256_mul_ps(pair(row), left));
        sum = _mm256_fmadd_ps(mixed, _mm256_broadcast_ss(of_rows + r), sum);
      }
      const __m128 value = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
      const __m128 nearest = _mm_round_ps(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      const __m128 distance = _mm_andnot_ps(_mm_set1_ps(-0.0f), _mm_sub_ps(value, nearest));
      if ((_mm_movemask_ps(_mm_cmplt_ps(distance, _mm_set1_ps(kFloatError))) & 7) != 0) {
        bicubic_in_double(at, stride, places.right[i + k], places.down[i + k], out);
        continue;
      }
      const __m128i ints = _mm_cvttps_epi32(value);
      const int32_t pixel = _mm_cvtsi128_si32(_mm_packus_epi16(_mm_packs_epi32(ints, ints), ints));
      std::memcpy(out, &pixel, sizeof pixel);
    }
  }
}

}  // namespace

const WarpRows kWarpAvx2 = {locate, bilinear_inside, nearest, bilinear, bicubic};

}  // namespace fastload::image

#endif
