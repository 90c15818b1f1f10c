// engine/lanes.h: lanes for whoever has a sample and no thread of an engine: lent to one caller at a time, and used again.
//
// Any thread may borrow. There are as many lanes as were ever borrowed at a time.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "engine/bytes.h"
#include "engine/lane.h"

namespace fastload::engine {

class Lanes {
 public:
  explicit Lanes(image::Simd simd) : simd_(simd) {}

  // The caller's until the end of the returned pointer, which must not outlive this object.
  struct GiveBack {
    Lanes* lanes;
    void operator()(Lane* lane) const { lanes->give_back(std::unique_ptr<Lane>(lane)); }
  };
  using Borrowed = std::unique_ptr<Lane, GiveBack>;
  Borrowed borrow();

  // Memory for what they make, if the caller has no other.
  const std::shared_ptr<BytePool>& bytes() const { return bytes_; }

 private:
  void give_back(std::unique_ptr<Lane> lane) noexcept;

  const image::Simd simd_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Lane>> free_;
  const std::shared_ptr<BytePool> bytes_ = std::make_shared<BytePool>();
};

}  // namespace fastload::engine
