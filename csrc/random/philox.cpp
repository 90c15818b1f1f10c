#include "random/generator.h"

namespace fastload::random {

namespace {

constexpr int kRounds = 10;
constexpr uint32_t kMultiplier0 = 0xD2511F53u;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57u;
constexpr uint32_t kWeyl0 = 0x9E3779B9u;
constexpr uint32_t kWeyl1 = 0xBB67AE85u;

}  // namespace

Philox::Philox(uint64_t seed, uint32_t epoch, uint64_t index)
    : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
      counter_{0, epoch, static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32)},
      words_{0, 0, 0, 0} {}

uint32_t Philox::next() {
  if (used_ == 4) {
    uint32_t x[4] = {counter_[0], counter_[1], counter_[2], counter_[3]};
    uint32_t key0 = key_[0];
    uint32_t key1 = key_[1];
    for (int round = 0; round < kRounds; ++round) {
      const uint64_t product0 = static_cast<uint64_t>(kMultiplier0) * x[0];
      const uint64_t product1 = static_cast<uint64_t>(kMultiplier1) * x[2];
      const uint32_t y[4] = {static_cast<uint32_t>(product1 >> 32) ^ x[1] ^ key0, static_cast<uint32_t>(product1),
                             static_cast<uint32_t>(product0 >> 32) ^ x[3] ^ key1, static_cast<uint32_t>(product0)};
      for (int i = 0; i < 4; ++i) x[i] = y[i];
      key0 += kWeyl0;
      key1 += kWeyl1;
    }
    for (int i = 0; i < 4; ++i) words_[i] = x[i];
    ++counter_[0];
    used_ = 0;
  }
  return words_[used_++];
}

}  // namespace fastload::random
