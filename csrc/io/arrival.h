// io/arrival.h: bytes that were promised -> the bytes, once they are there; whoever needs them waits.
//
// It is ended once, by fulfil(), fail() or give_up(), whichever comes first; what comes later does nothing. Any thread may call.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>

#include "types.h"

namespace fastload::io {

class Arrival {
 public:
  // The bytes live as long as this. True: it was not ended before.
  bool fulfil(ByteSpan bytes);
  bool fail(std::string message);
  // Nobody wants them any more: who waits goes on, cancelled.
  void give_up();

  // Waits for the end. Code::unreadable with the message of fail(), Code::cancelled, Code::empty.
  Status wait(ByteSpan* bytes);
  // True once it has ended; false after `timeout`.
  bool wait_for(std::chrono::milliseconds timeout);

  // It was given up before anything else.
  bool is_given_up() const;
  // Somebody had to wait.
  bool is_late() const;

 private:
  enum class State : uint8_t { promised, there, failed, given_up };

  bool end(State state, ByteSpan bytes, std::string message);

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  State state_ = State::promised;
  ByteSpan bytes_;
  std::string message_;
  bool late_ = false;
};

}  // namespace fastload::io
