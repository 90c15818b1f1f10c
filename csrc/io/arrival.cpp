#include "io/arrival.h"

#include <utility>

namespace fastload::io {

bool Arrival::end(State state, ByteSpan bytes, std::string message, Learned learned) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::promised) return false;
  state_ = state;
  bytes_ = bytes;
  message_ = std::move(message);
  learned_ = std::move(learned);
  ended_.notify_all();
  return true;
}

bool Arrival::fulfil(ByteSpan bytes, Learned learned) { return end(State::there, bytes, {}, std::move(learned)); }

bool Arrival::fail(std::string message) { return end(State::failed, {}, std::move(message), {}); }

void Arrival::give_up() { end(State::given_up, {}, {}, {}); }

Status Arrival::wait(ByteSpan* bytes) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (state_ == State::promised) late_ = true;
  ended_.wait(lock, [&] { return state_ != State::promised; });
  switch (state_) {
    case State::failed: return {Code::unreadable, message_.c_str()};
    case State::given_up: return {Code::cancelled, "cancelled"};
    default: break;
  }
  if (bytes_.size == 0) return {Code::empty, "empty"};
  *bytes = bytes_;
  return {};
}

bool Arrival::wait_for(std::chrono::milliseconds timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (state_ == State::promised) late_ = true;
  return ended_.wait_for(lock, timeout, [&] { return state_ != State::promised; });
}

std::string_view Arrival::cache_name() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return learned_.cache_name;
}

std::string_view Arrival::version() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return learned_.version;
}

bool Arrival::is_given_up() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return state_ == State::given_up;
}

bool Arrival::is_late() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return late_;
}

}  // namespace fastload::io
