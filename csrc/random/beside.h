// random/beside.h: what transforms draw from Python's `random` and from NumPy's legacy generator (`np.random.…`), number for number.
//
// Both are made of 32-bit words of their own. Where a function of libm is used it is the process's, as in Python and NumPy.
#pragma once

#include <cstdint>
#include <vector>

namespace fastload::random {

class Generator;

// A normal deviate that was made and not given yet: they are made in pairs.
struct Normal {
  bool is_kept = false;
  double value = 0;
};

class Python {
 public:
  Python(Generator* words, Normal* kept) : words_(words), kept_(kept) {}

  double random();
  double uniform(double a, double b) { return a + (b - a) * random(); }
  // randrange(n), which choice(), randint() and shuffle() are made of; n >= 1, and n == 1 consumes words too.
  uint32_t below(uint32_t n);
  double gauss(double mu, double sigma);
  // The position that choices() takes of as many as there are weights, which are cumulated; of `count` equal ones.
  uint32_t choices(const std::vector<double>& cumulated);
  uint32_t choices(uint32_t count) { return static_cast<uint32_t>(random() * static_cast<double>(count)); }
  void shuffle(uint8_t* items, int count);

 private:
  Generator* words_;
  Normal* kept_;
};

class Numpy {
 public:
  explicit Numpy(Generator* words) : words_(words) {}

  double random_sample();
  // randint(n); n >= 1, and n == 1 consumes nothing.
  uint32_t below(uint32_t n);
  // choice(len(p), count, replace=False, p=p). At least `count` of the probabilities are above 0.
  void choose_distinct(std::vector<double> p, int count, int* chosen);
  // dirichlet([1] * count) and beta(1, 1).
  void flat_dirichlet(int count, double* weights);
  double flat_beta();

 private:
  Generator* words_;
};

}  // namespace fastload::random
