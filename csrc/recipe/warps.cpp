#include "recipe/warps.h"

#include <algorithm>
#include <cmath>

namespace fastload::recipe {

namespace {

constexpr double kPi = 3.14159265358979323846;

double radians(double degrees) { return degrees * (kPi / 180.0); }

// Python's %, of a divisor above 0.
double modulo(double value, double divisor) {
  const double rest = std::fmod(value, divisor);
  return rest < 0 ? rest + divisor : rest;
}

// Python's round(value, 15) for values up to 1: the decimal nearest to the exact value, then the double nearest to that.
double round_to_15(double value) {
  constexpr double kUnits = 1e15;
  const double product = value * kUnits;
  const double rest = std::fma(value, kUnits, -product);  // what the product's rounding lost
  double units = std::nearbyint(product);
  const double over = product - units;
  if (over == 0.5 ? rest > 0 : over + rest > 0.5) {
    units += 1;
  } else if (over == -0.5 ? rest < 0 : over + rest < -0.5) {
    units -= 1;
  }
  return units / kUnits;
}

// By the first four of six numbers and the offsets behind each two.
void map(const double m[6], double x, double y, double* out_x, double* out_y) {
  *out_x = m[0] * x + m[1] * y + m[2];
  *out_y = m[3] * x + m[4] * y + m[5];
}

void warp(PlanBuilder& plan, const double matrix[6], const WarpStyle& style, double width, double height) {
  image::Warp warp;
  warp.filter = style.filter;
  std::copy_n(matrix, 6, warp.by);
  std::copy_n(style.fill, 3, warp.fill);
  plan.warp(warp, width, height);
}

}  // namespace

void inverse_of(const Affine& affine, const double center[2], double matrix[6]) {
  const double rot = radians(affine.angle);
  const double sx = radians(affine.shear[0]);
  const double sy = radians(affine.shear[1]);
  const double a = std::cos(rot - sy) / std::cos(sy);
  const double c = std::sin(rot - sy) / std::cos(sy);
  double b = 0;
  double d = 0;
  if (affine.v2) {
    b = -(a * std::tan(sx) + std::sin(rot));
    d = std::cos(rot) - c * std::tan(sx);
  } else {
    b = -std::cos(rot - sy) * std::tan(sx) / std::cos(sy) - std::sin(rot);
    d = -std::sin(rot - sy) * std::tan(sx) / std::cos(sy) + std::cos(rot);
  }
  const double inverted[6] = {d, -b, 0, -c, a, 0};
  for (int i = 0; i < 6; ++i) matrix[i] = inverted[i] / affine.scale;
  const double x = center[0] + affine.translate[0];
  const double y = center[1] + affine.translate[1];
  for (int row = 0; row < 2; ++row) {
    double* const m = matrix + 3 * row;
    m[2] = affine.v2 ? center[row] - m[0] * x - m[1] * y : m[0] * -x + m[1] * -y + center[row];
  }
}

void transform(PlanBuilder& plan, const double matrix[6], const WarpStyle& style) {
  warp(plan, matrix, style, plan.width(), plan.height());
}

void affine(PlanBuilder& plan, const Affine& affine, const WarpStyle& style) {
  const double middle[2] = {plan.width() * 0.5, plan.height() * 0.5};
  double matrix[6];
  inverse_of(affine, style.center != nullptr ? style.center : middle, matrix);
  transform(plan, matrix, style);
}

void rotate(PlanBuilder& plan, double angle, bool expand, const WarpStyle& style) {
  angle = modulo(angle, 360.0);
  if (style.center == nullptr) {
    if (angle == 0) return;
    if (angle == 180) {
      plan.flip(StepKind::flip_horizontal);
      plan.flip(StepKind::flip_vertical);
      return;
    }
    if ((angle == 90 || angle == 270) && (expand || plan.width() == plan.height())) {
      plan.transpose();
      plan.flip(angle == 90 ? StepKind::flip_vertical : StepKind::flip_horizontal);
      return;
    }
  }
  double width = plan.width();
  double height = plan.height();
  const double middle[2] = {width / 2.0, height / 2.0};
  const double* const center = style.center != nullptr ? style.center : middle;
  const double turn = -radians(angle);
  const double cosine = round_to_15(std::cos(turn));
  double m[6] = {cosine, round_to_15(std::sin(turn)), 0, round_to_15(-std::sin(turn)), cosine, 0};
  map(m, -center[0], -center[1], &m[2], &m[5]);
  m[2] += center[0];
  m[5] += center[1];
  if (expand) {
    double x[4];
    double y[4];
    map(m, 0, 0, &x[0], &y[0]);
    map(m, width, 0, &x[1], &y[1]);
    map(m, width, height, &x[2], &y[2]);
    map(m, 0, height, &x[3], &y[3]);
    const double wide = std::ceil(*std::max_element(x, x + 4)) - std::floor(*std::min_element(x, x + 4));
    const double high = std::ceil(*std::max_element(y, y + 4)) - std::floor(*std::min_element(y, y + 4));
    double left = 0;
    double top = 0;
    map(m, -(wide - width) / 2.0, -(high - height) / 2.0, &left, &top);
    m[2] = left;
    m[5] = top;
    width = wide;
    height = high;
  }
  warp(plan, m, style, width, height);
}

}  // namespace fastload::recipe
