#include "image/gaussian_blur.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "image/gaussian_rows.h"

namespace fastload::image {

namespace {

constexpr double kUnit = 1.0 / (1 << 24);  // of float32: what one rounding may change
constexpr double kMostValue = 255;

const GaussianRows& rows_of([[maybe_unused]] Simd simd) {
#if defined(__x86_64__)
  if (simd != Simd::scalar) return kGaussianAvx2;
#endif
  return kGaussianScalar;
}

// How far a sum of products with these weights, one after the other, may be from the exact one, for values up to 1. No rounding is
// larger than what was added.
class SumError {
 public:
  void add(double weight) {
    sum_ += weight;
    error_ += std::fmin(kUnit * sum_, weight);
  }
  double error() const { return error_; }
  double sum() const { return sum_; }

 private:
  double sum_ = 0;
  double error_ = 0;
};

// A kernel as two passes.
struct Passes {
  float kernel[GaussianBlur::kMost * GaussianBlur::kMost];
  float across[GaussianBlur::kMost];
  float down[GaussianBlur::kMost];
  int32_t left = 0, right = 0, top = 0, bottom = 0;  // the part that is not 0
  float doubt = 0;

  int32_t width() const { return right - left; }
  int32_t height() const { return bottom - top; }
};

void trim(const double* sums, int32_t count, int32_t* first, int32_t* end) {
  *first = 0;
  *end = count;
  while (*end - *first > 1 && sums[*first] == 0) ++*first;
  while (*end - *first > 1 && sums[*end - 1] == 0) --*end;
}

void find_passes(const GaussianBlur& blur, Passes* passes) {
  blur.torch->kernel(blur, passes->kernel);
  double across[GaussianBlur::kMost] = {};
  double down[GaussianBlur::kMost] = {};
  SumError of_torch;
  const float* weight = passes->kernel;
  for (int32_t y = 0; y < blur.height; ++y) {
    for (int32_t x = 0; x < blur.width; ++x, ++weight) {
      across[x] += *weight;
      down[y] += *weight;
      of_torch.add(*weight);
    }
  }
  trim(across, blur.width, &passes->left, &passes->right);
  trim(down, blur.height, &passes->top, &passes->bottom);
  SumError of_across;
  SumError of_down;
  for (int32_t x = 0; x < blur.width; ++x) of_across.add(passes->across[x] = static_cast<float>(across[x]));
  for (int32_t y = 0; y < blur.height; ++y) of_down.add(passes->down[y] = static_cast<float>(down[y] / of_torch.sum()));
  double apart = 0;  // the kernel and the product of the two
  weight = passes->kernel;
  for (int32_t y = 0; y < blur.height; ++y) {
    for (int32_t x = 0; x < blur.width; ++x, ++weight) {
      apart += std::fabs(static_cast<double>(*weight) - static_cast<double>(passes->across[x]) * static_cast<double>(passes->down[y]));
    }
  }
  const double taps = static_cast<double>(blur.width) * blur.height;
  const double in_any_order = (taps + 1) * kUnit * of_torch.sum();
  // Products and sums may be rounded both.
  const double here = 2 * (of_across.error() * of_down.sum() + of_down.error() * of_across.sum());
  const double error = apart + here + (blur.in_order ? of_torch.error() : in_any_order);
  passes->doubt = static_cast<float>(kMostValue * 1.01 * error + 4 * kMostValue * kUnit);
}

int32_t reflected(int32_t i, int32_t size) { return i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i; }

// `border` pixels around `want`, those beyond the image reflected.
void with_border(const Pixels& source, const Box& need, const Box& want, const Box& border, int32_t width, int32_t height,
                 const Pixels& out) {
  for (int32_t y = 0; y < out.height; ++y) {
    const uint8_t* const row = source.row(reflected(want.y - border.y + y, height) - need.y);
    uint8_t* const to = out.row(y);
    const int32_t first = want.x - border.x;
    const auto copy = [&](int32_t from, int32_t end) {
      for (int32_t x = from; x < end; ++x) {
        std::memcpy(to + 4 * static_cast<ptrdiff_t>(x), row + 4 * static_cast<ptrdiff_t>(reflected(first + x, width) - need.x), 4);
      }
    };
    const int32_t inside = std::max(0, -first);
    const int32_t behind = std::max(inside, std::min(out.width, width - first));
    copy(0, inside);
    std::memcpy(to + 4 * static_cast<ptrdiff_t>(inside), row + 4 * static_cast<ptrdiff_t>(first + inside - need.x),
                4 * static_cast<size_t>(behind - inside));
    copy(behind, out.width);
  }
}

// Memory for all of it, in pieces.
class Pieces {
 public:
  Pieces(Buffer* scratch, size_t bytes) : next_(scratch->reserve(bytes)) {}

  template <typename T>
  T* take(size_t count) {
    T* const piece = reinterpret_cast<T*>(next_);
    next_ += rounded(count * sizeof(T));
    return piece;
  }

  static size_t rounded(size_t bytes) { return (bytes + Buffer::kAlignment - 1) / Buffer::kAlignment * Buffer::kAlignment; }

 private:
  uint8_t* next_;
};

}  // namespace

Box blur_needs(const GaussianBlur& blur, const Box& want, int32_t width, int32_t height) {
  if (!blur.in_order) return {0, 0, width, height};
  const int32_t x = std::max(want.x - blur.width / 2, 0);
  const int32_t y = std::max(want.y - blur.height / 2, 0);
  return {x, y, std::min(want.x + want.width + blur.width / 2, width) - x, std::min(want.y + want.height + blur.height / 2, height) - y};
}

int64_t gaussian_blur(const GaussianBlur& blur, const Pixels& source, const Box& want, int32_t width, int32_t height, const Pixels& out,
                      Buffer* scratch, Simd simd) {
  const GaussianRows& rows = rows_of(simd);
  const Box need = blur_needs(blur, want, width, height);
  constexpr size_t kSlack = 4 * kRowSlack;
  const auto floats_of = [&](int32_t pixels) { return 4 * static_cast<size_t>(pixels) + kSlack; };
  const int32_t most_width = want.width + blur.width - 1;
  const int32_t most_height = want.height + blur.height - 1;
  const size_t bordered_bytes = 4 * static_cast<size_t>(most_width) * static_cast<size_t>(most_height) + kPixelSlack;
  Pieces pieces(scratch, Pieces::rounded(sizeof(Passes)) + Pieces::rounded(bordered_bytes) +
                             Pieces::rounded(4 * floats_of(most_width)) +
                             Pieces::rounded(4 * floats_of(want.width)) * static_cast<size_t>(blur.height) +
                             Pieces::rounded(4 * static_cast<size_t>(want.width)));
  Passes& passes = *new (pieces.take<Passes>(1)) Passes;
  find_passes(blur, &passes);

  const Box border = {blur.width / 2 - passes.left, blur.height / 2 - passes.top, 0, 0};
  const int32_t bordered_width = want.width + passes.width() - 1;
  const Pixels bordered = {pieces.take<uint8_t>(bordered_bytes), bordered_width, want.height + passes.height() - 1,
                           4 * static_cast<ptrdiff_t>(bordered_width)};
  std::memset(bordered.row(bordered.height), 0, kPixelSlack);
  with_border(source, need, want, border, width, height, bordered);

  float* const line = pieces.take<float>(floats_of(most_width));
  std::memset(line, 0, 4 * floats_of(most_width));
  float* lines[GaussianBlur::kMost];  // of the last rows, in turn
  for (int32_t i = 0; i < blur.height; ++i) lines[i] = pieces.take<float>(floats_of(want.width));
  auto* const doubtful = pieces.take<int32_t>(static_cast<size_t>(want.width));
  const KernelPart part = {passes.kernel + passes.top * blur.width + passes.left, blur.width, passes.width(), passes.height()};
  int64_t doubts = 0;
  for (int32_t y = 0; y < bordered.height; ++y) {
    rows.to_floats(bordered.row(y), bordered_width, line);
    rows.across(line, passes.across + passes.left, passes.width(), want.width, lines[y % passes.height()]);
    const int32_t row = y - passes.height() + 1;
    if (row < 0) continue;
    const float* in_turn[GaussianBlur::kMost];
    for (int32_t i = 0; i < passes.height(); ++i) in_turn[i] = lines[(row + i) % passes.height()];
    const int32_t found = rows.down(in_turn, passes.down + passes.top, passes.height(), want.width, passes.doubt, out.row(row), doubtful);
    doubts += found;
    if (found > 0 && !blur.in_order) break;
    rows.in_order(part, bordered.row(row), bordered.stride, doubtful, found, out.row(row));
  }
  if (doubts == 0 || blur.in_order) return doubts;
  const Pixels all = {scratch->reserve(4 * static_cast<size_t>(width) * static_cast<size_t>(height) + kPixelSlack), width, height,
                      4 * static_cast<ptrdiff_t>(width)};
  blur.torch->blur(blur, source, all);
  for (int32_t y = 0; y < want.height; ++y) {
    std::memcpy(out.row(y), all.row(want.y + y) + 4 * static_cast<ptrdiff_t>(want.x), 4 * static_cast<size_t>(want.width));
  }
  return doubts;
}

}  // namespace fastload::image
