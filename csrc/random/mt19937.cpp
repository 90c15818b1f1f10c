#include <cstring>

#include "random/generator.h"

namespace fastload::random {

namespace {

constexpr int kShift = 397;

// The part of torch's legacy state record that matters here, by byte offset: the_initial_seed (u64), left (i32), seeded (i32),
// next (u64), then 624 words of u64 each holding 32 bits.
constexpr size_t kLeftOffset = 8;
constexpr size_t kSeededOffset = 12;
constexpr size_t kNextOffset = 16;
constexpr size_t kWordsOffset = 24;
constexpr size_t kNormalOffset = kWordsOffset + 8 * 624;

uint32_t mix(uint32_t high, uint32_t low) {
  const uint32_t joined = (high & 0x80000000u) | (low & 0x7fffffffu);
  return (joined >> 1) ^ ((low & 1u) ? 0x9908b0dfu : 0u);
}

}  // namespace

Mt19937::Mt19937(uint64_t seed) {
  state_[0] = static_cast<uint32_t>(seed);
  for (int i = 1; i < kWords; ++i) {
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + static_cast<uint32_t>(i);
  }
}

void Mt19937::twist() {
  for (int i = 0; i < kWords - kShift; ++i) state_[i] = state_[i + kShift] ^ mix(state_[i], state_[i + 1]);
  for (int i = kWords - kShift; i < kWords - 1; ++i) {
    state_[i] = state_[i + kShift - kWords] ^ mix(state_[i], state_[i + 1]);
  }
  state_[kWords - 1] = state_[kShift - 1] ^ mix(state_[kWords - 1], state_[0]);
  left_ = kWords;
  next_ = 0;
}

uint32_t Mt19937::next() {
  if (--left_ == 0) twist();
  uint32_t y = state_[next_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

bool Mt19937::import_torch(const uint8_t* bytes, size_t size) {
  if (size != kTorchStateBytes) return false;
  int32_t left = 0;
  int32_t seeded = 0;
  uint64_t next = 0;
  std::memcpy(&left, bytes + kLeftOffset, sizeof left);
  std::memcpy(&seeded, bytes + kSeededOffset, sizeof seeded);
  std::memcpy(&next, bytes + kNextOffset, sizeof next);
  // The words that are left before the next twist must be there.
  if (left < 1 || left > kWords || next > static_cast<uint64_t>(kWords - left + 1) || seeded == 0) return false;
  left_ = left;
  next_ = static_cast<uint32_t>(next);
  for (int i = 0; i < kWords; ++i) {
    uint64_t word = 0;
    std::memcpy(&word, bytes + kWordsOffset + 8 * static_cast<size_t>(i), sizeof word);
    state_[i] = static_cast<uint32_t>(word);
  }
  static_assert(kNormalOffset + kNormalBytes == kTorchStateBytes, "the record's last field");
  std::memcpy(normal_, bytes + kNormalOffset, kNormalBytes);
  return true;
}

void Mt19937::export_torch(uint8_t* bytes) const {
  const uint64_t next = next_;
  std::memcpy(bytes + kLeftOffset, &left_, sizeof left_);
  std::memcpy(bytes + kNextOffset, &next, sizeof next);
  for (int i = 0; i < kWords; ++i) {
    const uint64_t word = state_[i];
    std::memcpy(bytes + kWordsOffset + 8 * static_cast<size_t>(i), &word, sizeof word);
  }
  std::memcpy(bytes + kNormalOffset, normal_, kNormalBytes);
}

void Mt19937::set_words(const uint32_t words[kWords], uint32_t used) {
  std::memcpy(state_, words, sizeof state_);
  next_ = used < kWords ? used : kWords;
  left_ = kWords + 1 - static_cast<int32_t>(next_);
}

}  // namespace fastload::random
