#include "image/taps.h"

#include <algorithm>
#include <cmath>

namespace fastload::image {

namespace {

constexpr double kPi = 3.14159265358979323846;

double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

double bilinear(double x) {
  x = std::fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

// Pillow writes its two constants as floats.
double hamming(double x) {
  x = std::fabs(x);
  if (x == 0.0) return 1.0;
  if (x >= 1.0) return 0.0;
  x *= kPi;
  return std::sin(x) / x * (0.54f + 0.46f * std::cos(x));
}

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= kPi;
  return std::sin(x) / x;
}

double lanczos(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

double support_of(Filter filter) {
  switch (filter) {
    case Filter::nearest:
    case Filter::box: return 0.5;
    case Filter::bilinear:
    case Filter::hamming: return 1.0;
    case Filter::bicubic: return 2.0;
    case Filter::lanczos: return 3.0;
  }
  return 1.0;
}

}  // namespace

// Where an output's taps lie.
class Scale {
 public:
  Scale(Filter filter, const Axis& axis)
      : in_size_(axis.in_size),
        begin_(axis.begin),
        scale_(static_cast<double>(axis.end - axis.begin) / axis.out_size),
        stretch_(std::max(scale_, 1.0)),
        support_(support_of(filter) * stretch_) {}

  double center(int32_t i) const { return begin_ + (i + 0.5) * scale_; }
  int32_t begin(double center) const { return std::max(0, static_cast<int32_t>(center - support_ + 0.5)); }
  int32_t end(double center) const { return std::min(in_size_, static_cast<int32_t>(center + support_ + 0.5)); }
  double inverse_stretch() const { return 1.0 / stretch_; }

 private:
  int32_t in_size_;
  double begin_;
  double scale_;
  double stretch_;
  double support_;
};

namespace {

int32_t fixed_point(double weight) {
  const double scaled = weight * (1 << kPrecisionBits);
  return static_cast<int32_t>(weight < 0 ? scaled - 0.5 : scaled + 0.5);
}

// Positions of a nearest resize: Pillow steps through the input by adding up the scale.
template <typename TakeFn>
void nearest(const Axis& axis, int32_t first, int32_t count, TakeFn take) {
  const double scale = static_cast<double>(axis.end - axis.begin) / axis.out_size;
  double position = axis.begin + scale * 0.5;
  for (int32_t i = 0; i < first + count; ++i, position += scale) {
    if (i >= first) take(i - first, std::min(axis.in_size - 1, static_cast<int32_t>(position)));
  }
}

}  // namespace

Span input_span(Filter filter, const Axis& axis, int32_t first, int32_t count) {
  if (!axis.is_changed()) return {first, first + count};
  if (filter == Filter::nearest) {
    Span span = {axis.in_size, 0};
    nearest(axis, first, count, [&](int32_t, int32_t at) {
      span.begin = std::min(span.begin, at);
      span.end = std::max(span.end, at + 1);
    });
    return span;
  }
  // Both bounds grow with the output.
  const Scale scale(filter, axis);
  return {scale.begin(scale.center(first)), scale.end(scale.center(first + count - 1))};
}

int32_t taps_of(Filter filter, const Axis& axis, int32_t first, int32_t count) {
  if (filter == Filter::nearest) return kTapGroup;
  const Scale scale(filter, axis);
  int32_t most = 1;
  for (int32_t i = first; i < first + count; ++i) {
    most = std::max(most, scale.end(scale.center(i)) - scale.begin(scale.center(i)));
  }
  return (most + kTapGroup - 1) / kTapGroup * kTapGroup;
}

template <typename FilterFn>
void Taps::fill_weights(FilterFn filter, const Scale& scale, int32_t first, Span span) {
  const int32_t width = groups_ * kTapGroup;
  const int32_t last_start = std::max(0, span.end - span.begin - width);
  row_.resize(static_cast<size_t>(width));
  double* values = row_.data();
  for (int32_t i = 0; i < outputs_; ++i) {
    const double center = scale.center(first + i);
    const int32_t begin = scale.begin(center);
    const int32_t count = scale.end(center) - begin;
    double sum = 0.0;
    for (int32_t k = 0; k < count; ++k) {
      values[k] = filter((k + begin - center + 0.5) * scale.inverse_stretch());
      sum += values[k];
    }
    const int32_t start = std::min(begin - span.begin, last_start);
    starts_[static_cast<size_t>(i)] = start;
    int32_t* weights = weights_.data() + static_cast<ptrdiff_t>(i) * width;
    std::fill(weights, weights + width, 0);
    weights += begin - span.begin - start;
    for (int32_t k = 0; k < count; ++k) weights[k] = fixed_point(sum != 0.0 ? values[k] / sum : values[k]);
  }
}

void Taps::fill(Filter filter, const Axis& axis, int32_t first, int32_t count, Span span) {
  outputs_ = count;
  starts_.resize(static_cast<size_t>(count));
  const Scale scale(filter, axis);
  if (filter == Filter::nearest) {
    groups_ = 1;
    weights_.assign(static_cast<size_t>(count) * kTapGroup, 0);
    const int32_t last_start = std::max(0, span.end - span.begin - kTapGroup);
    nearest(axis, first, count, [&](int32_t i, int32_t at) {
      const int32_t start = std::min(at - span.begin, last_start);
      starts_[static_cast<size_t>(i)] = start;
      weights_[static_cast<size_t>(i * kTapGroup + at - span.begin - start)] = 1 << kPrecisionBits;
    });
    return;
  }
  groups_ = taps_of(filter, axis, first, count) / kTapGroup;
  weights_.resize(static_cast<size_t>(count) * static_cast<size_t>(groups_) * kTapGroup);
  switch (filter) {
    case Filter::nearest: break;
    case Filter::box: return fill_weights(box, scale, first, span);
    case Filter::bilinear: return fill_weights([](double x) { return bilinear(x); }, scale, first, span);
    case Filter::hamming: return fill_weights(hamming, scale, first, span);
    case Filter::bicubic: return fill_weights([](double x) { return bicubic(x); }, scale, first, span);
    case Filter::lanczos: return fill_weights(lanczos, scale, first, span);
  }
}

}  // namespace fastload::image
