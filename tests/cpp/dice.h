// Random numbers of the C++ tests, the same ones each time.
#pragma once

#include <random>

namespace given {

class Dice {
 public:
  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator_); }
  double number(double most) { return std::uniform_real_distribution<double>(-most, most)(generator_); }
  bool once_in(int times) { return between(1, times) == 1; }

 private:
  std::mt19937 generator_{1};
};

}  // namespace given
