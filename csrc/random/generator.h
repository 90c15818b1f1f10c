// random/generator.h: the sources of random 32-bit words that transforms draw from. Pure arithmetic, no locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "random/beside.h"

namespace fastload::random {

class Mt19937;

// A source of uniform 32-bit words. One virtual call a draw (about ten draws a sample) keeps the drawing code single.
class Generator {
 public:
  virtual ~Generator() = default;
  virtual uint32_t next() = 0;
  // Itself, if it is torch's; else null.
  virtual Mt19937* as_torch() { return nullptr; }

  // torch.rand(1): 24 bits.
  float uniform() { return static_cast<float>(next() & 0xffffffu) * (1.0f / (1 << 24)); }
  // torch.randint(0, n, (1,)) for 1 <= n < 2^32; n == 1 consumes a word too.
  uint32_t below(uint32_t n) { return next() % n; }

  // What draws from Python's and from NumPy's generator, where they were given; see Streams.
  virtual Python python() { throw std::logic_error("Python's generator was not given"); }
  virtual Numpy numpy() { throw std::logic_error("NumPy's generator was not given"); }
};

// MT19937, seeded with the low 32 bits of the seed (Matsumoto and Nishimura 1998): torch's CPU generator, and in other clothes
// Python's `random` and NumPy's legacy generator.
class Mt19937 final : public Generator {
 public:
  static constexpr int kWords = 624;
  // torch.get_rng_state() is this many bytes in every torch since 1.6.
  static constexpr size_t kTorchStateBytes = 5056;

  explicit Mt19937(uint64_t seed = 5489);
  uint32_t next() override;
  Mt19937* as_torch() override { return this; }

  // From and into the bytes of torch.get_rng_state(); fields that this class does not use are left as they are.
  // import_torch returns false when the bytes do not look like such a state.
  bool import_torch(const uint8_t* bytes, size_t size);
  void export_torch(uint8_t* bytes) const;

  // As Python and NumPy have it: all words, and how many of them are used (0 to all).
  void set_words(const uint32_t words[kWords], uint32_t used);
  const uint32_t* words() const { return state_; }
  uint32_t used() const { return next_; }

 private:
  void twist();

  static constexpr size_t kNormalBytes = 40;
  uint32_t state_[kWords];
  int32_t left_ = 1;  // words left before the next twist
  uint32_t next_ = 0;
  uint8_t normal_[kNormalBytes] = {};  // what torch keeps of normal deviates that were drawn in pairs, as it keeps it
};

// Counter-based: word k of sample (seed, epoch, index) is Philox4x32-10 (Salmon et al. 2011) of the counter
// (k / 4, epoch, index) under the key seed, so no sample depends on another. Python's and NumPy's draws are made of its words too.
class Philox final : public Generator {
 public:
  Philox(uint64_t seed, uint32_t epoch, uint64_t index);
  uint32_t next() override;
  Python python() override { return {this, &kept_}; }
  Numpy numpy() override { return Numpy(this); }

 private:
  uint32_t key_[2];
  uint32_t counter_[4];
  uint32_t words_[4];
  int used_ = 4;
  Normal kept_;
};

}  // namespace fastload::random
