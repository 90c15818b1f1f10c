// engine/output.h: where the samples of one batch are written: memory of the caller's, or a block that is taken from a BatchMemory
// when the first of them is. The block goes back at the end, unless it was released.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "engine/memory.h"

namespace fastload::engine {

class Output {
 public:
  // `given`: the caller's; null: `bytes` of `memory`.
  Output(uint8_t* given, std::shared_ptr<BatchMemory> memory, size_t bytes);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // For any thread that has a sample. Null: no memory.
  uint8_t* data();

  // The block is the caller's, kNone if none was taken; what is written later goes into another. While no sample runs.
  int release();

 private:
  const std::shared_ptr<BatchMemory> memory_;
  const size_t bytes_;
  std::mutex mutex_;  // guards the two below; apart from the batch's, as it is held while Python's lock is waited for
  uint8_t* data_;
  int block_ = BatchMemory::kNone;
};

}  // namespace fastload::engine
