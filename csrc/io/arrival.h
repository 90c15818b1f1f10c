// io/arrival.h: bytes that were promised -> the bytes, once they are there; whoever needs them waits.
//
// It is ended once, by fulfil(), fail() or give_up(), whichever comes first; what comes later does nothing. Any thread may call.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "types.h"

namespace fastload::io {

class Arrival {
 public:
  // What is known of bytes only once they are there: what a cache knows them by (see cache::key_of()), and their version (see Source);
  // empty where that is not known, or was before.
  struct Learned {
    std::string cache_name;
    std::string version;
  };

  // The bytes live as long as this. True: it was not ended before.
  bool fulfil(ByteSpan bytes, Learned learned = {});
  bool fail(std::string message);
  // Nobody wants them any more: who waits goes on, cancelled.
  void give_up();

  // Waits for the end. Code::unreadable with the message of fail(), Code::cancelled, Code::empty.
  Status wait(ByteSpan* bytes);
  // True once it has ended; false after `timeout`.
  bool wait_for(std::chrono::milliseconds timeout);

  // Nothing before the end. It lives as long as this.
  std::string_view cache_name() const;
  std::string_view version() const;

  // It was given up before anything else.
  bool is_given_up() const;
  // Somebody had to wait.
  bool is_late() const;

 private:
  enum class State : uint8_t { promised, there, failed, given_up };

  bool end(State state, ByteSpan bytes, std::string message, Learned learned);

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  State state_ = State::promised;
  ByteSpan bytes_;
  std::string message_;
  Learned learned_;
  bool late_ = false;
};

}  // namespace fastload::io
