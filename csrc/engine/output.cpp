#include "engine/output.h"

#include <utility>

namespace fastload::engine {

Output::Output(uint8_t* given, std::shared_ptr<BatchMemory> memory, size_t bytes)
    : memory_(std::move(memory)), bytes_(bytes), data_(given) {}

Output::~Output() {
  if (block_ != BatchMemory::kNone) memory_->give_back(block_);
}

uint8_t* Output::data() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (data_ == nullptr && memory_ != nullptr) data_ = memory_->take(bytes_, &block_);
  return data_;
}

int Output::release() {
  if (memory_) data_ = nullptr;
  return std::exchange(block_, BatchMemory::kNone);
}

}  // namespace fastload::engine
