#include "random/beside.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "random/generator.h"

namespace fastload::random {

namespace {

// 53 bits of two words.
double unit(Generator* words) {
  const uint32_t high = words->next() >> 5;
  const uint32_t low = words->next() >> 6;
  return (static_cast<double>(high) * 67108864.0 + static_cast<double>(low)) * (1.0 / 9007199254740992.0);
}

// libm's, each called for itself: a compiler that sees both would make one call of them, whose last bit may be another.
using Function = double (*)(double);
const volatile Function kSine = std::sin;
const volatile Function kCosine = std::cos;

int bit_length(uint32_t n) {
  int bits = 0;
  for (; n != 0; n >>= 1) ++bits;
  return bits;
}

}  // namespace

double Python::random() { return unit(words_); }

uint32_t Python::below(uint32_t n) {
  const int unused = 32 - bit_length(n);
  uint32_t drawn = words_->next() >> unused;
  while (drawn >= n) drawn = words_->next() >> unused;
  return drawn;
}

double Python::gauss(double mu, double sigma) {
  double z = kept_->value;
  if (kept_->is_kept) {
    kept_->is_kept = false;
  } else {
    constexpr double kTwoPi = 2.0 * 3.14159265358979323846;
    const double angle = random() * kTwoPi;
    const double radius = std::sqrt(-2.0 * std::log(1.0 - random()));
    z = kCosine(angle) * radius;
    *kept_ = {true, kSine(angle) * radius};
  }
  return mu + z * sigma;
}

uint32_t Python::choices(const std::vector<double>& cumulated) {
  const double wanted = random() * cumulated.back();
  const auto found = std::upper_bound(cumulated.begin(), cumulated.end() - 1, wanted);
  return static_cast<uint32_t>(found - cumulated.begin());
}

void Python::shuffle(uint8_t* items, int count) {
  for (int i = count - 1; i > 0; --i) std::swap(items[i], items[below(static_cast<uint32_t>(i) + 1)]);
}

double Numpy::random_sample() { return unit(words_); }

uint32_t Numpy::below(uint32_t n) {
  if (n == 1) return 0;
  const auto mask = static_cast<uint32_t>((uint64_t{1} << bit_length(n - 1)) - 1);
  uint32_t drawn = words_->next() & mask;
  while (drawn > n - 1) drawn = words_->next() & mask;
  return drawn;
}

void Numpy::choose_distinct(std::vector<double> p, int count, int* chosen) {
  std::vector<double> drawn, cumulated(p.size());
  for (int found = 0; found < count;) {
    drawn.clear();
    for (int i = found; i < count; ++i) drawn.push_back(random_sample());
    for (int i = 0; i < found; ++i) p[static_cast<size_t>(chosen[i])] = 0;
    double sum = 0;
    for (size_t i = 0; i < p.size(); ++i) cumulated[i] = sum += p[i];
    for (double& one : cumulated) one /= sum;
    const int before = found;
    for (const double x : drawn) {
      const auto at = std::upper_bound(cumulated.begin(), cumulated.end(), x) - cumulated.begin();
      const int which = static_cast<int>(at);
      if (std::find(chosen + before, chosen + found, which) == chosen + found) chosen[found++] = which;
    }
  }
}

void Numpy::flat_dirichlet(int count, double* weights) {
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += weights[i] = -std::log(1.0 - random_sample());
  const double inverse = 1 / sum;
  for (int i = 0; i < count; ++i) weights[i] *= inverse;
}

double Numpy::flat_beta() {
  while (true) {
    const double x = random_sample();
    const double y = random_sample();
    const double sum = x + y;
    if (sum <= 1.0 && sum > 0) return x / sum;
  }
}

}  // namespace fastload::random
