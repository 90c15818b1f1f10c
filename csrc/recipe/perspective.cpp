#include "recipe/perspective.h"

#include <cmath>
#include <utility>

namespace fastload::recipe {

namespace {

// Note [least squares]
// torch solves eight equations in float64 by Householder reflections (LAPACK's gels) and rounds to float32. The solution is known
// exactly, as quotients of integers. What such a solver computes solves equations whose columns are off by kOff of their length
// at most (Higham 2002, theorems 19.4 and 20.3, with 10 for the constant; in 20,000 images torch's numbers were off by up to 0.006
// of what follows from that). Where a float32's last bit hangs on it, as it does where a number is 0, torch itself is asked.
constexpr int kCount = 8;
constexpr double kUnit = 1.1102230246251565e-16;
constexpr double kOff = 10 * kCount * kCount * kUnit;
// Up to this side the products below fit into 127 bits.
constexpr int32_t kLongest = 32767;

__extension__ typedef __int128 Wide;

struct Equations {
  double left[kCount][kCount] = {};
  double right[kCount] = {};
};

Equations equations_of(const Corners& corners, int32_t width, int32_t height) {
  const double right = width - 1;
  const double bottom = height - 1;
  const double to_x[4] = {0, right, right, 0};
  const double to_y[4] = {0, 0, bottom, bottom};
  Equations made;
  for (int i = 0; i < 4; ++i) {
    const double x = corners.x[i];
    const double y = corners.y[i];
    const double rows[2][kCount] = {{x, y, 1, 0, 0, 0, -to_x[i] * x, -to_x[i] * y}, {0, 0, 0, x, y, 1, -to_y[i] * x, -to_y[i] * y}};
    for (int r = 0; r < 2; ++r) {
      for (int c = 0; c < kCount; ++c) made.left[2 * i + r][c] = rows[r][c];
      made.right[2 * i + r] = r == 0 ? to_x[i] : to_y[i];
    }
  }
  return made;
}

// How large numbers each row of the inverse has, all together; false where there is no inverse.
bool sums_of_inverse(const Equations& equations, double sums[kCount]) {
  double rows[kCount][2 * kCount] = {};
  for (int r = 0; r < kCount; ++r) {
    for (int c = 0; c < kCount; ++c) rows[r][c] = equations.left[r][c];
    rows[r][kCount + r] = 1;
  }
  for (int at = 0; at < kCount; ++at) {
    int best = at;
    for (int r = at + 1; r < kCount; ++r) best = std::fabs(rows[r][at]) > std::fabs(rows[best][at]) ? r : best;
    if (rows[best][at] == 0) return false;
    std::swap(rows[best], rows[at]);
    const double scale = 1 / rows[at][at];
    for (double& value : rows[at]) value *= scale;
    for (int r = 0; r < kCount; ++r) {
      const double factor = rows[r][at];
      if (r == at || factor == 0) continue;
      for (int c = 0; c < 2 * kCount; ++c) rows[r][c] -= factor * rows[at][c];
    }
  }
  for (int r = 0; r < kCount; ++r) {
    sums[r] = 0;
    for (int c = 0; c < kCount; ++c) sums[r] += std::fabs(rows[r][kCount + c]);
  }
  return true;
}

// From the quadrilateral of corners to the rectangle of the image, both through the unit square.
bool solve(const Corners& corners, int32_t width, int32_t height, double solution[kCount]) {
  const int32_t* const x = corners.x;
  const int32_t* const y = corners.y;
  const Wide dx1 = x[1] - x[2], dx2 = x[3] - x[2], sum_x = x[0] - x[1] + x[2] - x[3];
  const Wide dy1 = y[1] - y[2], dy2 = y[3] - y[2], sum_y = y[0] - y[1] + y[2] - y[3];
  const Wide i = dx1 * dy2 - dx2 * dy1;
  const Wide g = sum_x * dy2 - dx2 * sum_y;
  const Wide h = dx1 * sum_y - sum_x * dy1;
  const Wide a = (x[1] - x[0]) * i + g * x[1], b = (x[3] - x[0]) * i + h * x[3], c = x[0] * i;
  const Wide d = (y[1] - y[0]) * i + g * y[1], e = (y[3] - y[0]) * i + h * y[3], f = y[0] * i;
  const Wide last = a * e - b * d;
  if (i == 0 || last == 0) return false;
  const Wide wide = width - 1;
  const Wide high = height - 1;
  const Wide numbers[kCount] = {wide * (e * i - f * h), wide * (c * h - b * i), wide * (b * f - c * e), high * (f * g - d * i),
                                high * (a * i - c * g), high * (c * d - a * f), d * h - e * g,         b * g - a * h};
  for (int n = 0; n < kCount; ++n) solution[n] = static_cast<double>(numbers[n]) / static_cast<double>(last);
  return true;
}

}  // namespace

bool perspective(const Corners& corners, int32_t width, int32_t height, float out[kCount]) {
  double solution[kCount];
  double sums[kCount];
  if (width > kLongest || height > kLongest || !solve(corners, width, height, solution)) return false;
  const Equations equations = equations_of(corners, width, height);
  if (!sums_of_inverse(equations, sums)) return false;
  double size = 0;
  for (const double value : equations.right) size += std::fabs(value);
  for (int c = 0; c < kCount; ++c) {
    double squares = 0;
    for (int r = 0; r < kCount; ++r) squares += equations.left[r][c] * equations.left[r][c];
    size += std::sqrt(squares) * std::fabs(solution[c]);
  }
  for (int n = 0; n < kCount; ++n) {
    // Three roundings are this function's own.
    const double off = kOff * sums[n] * size + 4 * kUnit * std::fabs(solution[n]);
    out[n] = static_cast<float>(solution[n]);
    if (static_cast<float>(solution[n] - off) != static_cast<float>(solution[n] + off)) return false;
  }
  return true;
}

}  // namespace fastload::recipe
