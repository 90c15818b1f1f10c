// io/http_loop.h: conversations on many sockets at once, on one thread that sleeps until something has come.
//
// Its owner's thread begins them and runs it; wake() is for any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/http_conversation.h"

namespace fastload::io {

class HttpLoop {
 public:
  using Number = uint64_t;  // of a conversation, by which its owner knows it
  using Ended = std::vector<std::pair<Number, HttpAnswer>>;

  // A socket that says nothing for so long is given up. Throws std::system_error where the system has no more descriptors.
  explicit HttpLoop(std::chrono::milliseconds patience);
  ~HttpLoop();
  HttpLoop(const HttpLoop&) = delete;
  HttpLoop& operator=(const HttpLoop&) = delete;

  // The socket is nobody else's until it has ended. Nothing is sent before run().
  void begin(Number number, std::unique_ptr<HttpConversation> conversation);
  // Until one has ended, or somebody wakes it; those that have ended.
  Ended run();
  void wake();

 private:
  struct Talk {
    std::unique_ptr<HttpConversation> conversation;
    HttpConversation::Wants wants = HttpConversation::Wants::nothing;
    std::chrono::steady_clock::time_point heard;
  };

  void go_on(Number number, Ended* ended);
  void begin_new(Ended* ended);
  void give_up_silent(Ended* ended);

  const std::chrono::milliseconds patience_;
  int events_ = -1;
  int waker_ = -1;
  std::vector<Number> new_;
  std::unordered_map<Number, Talk> talks_;
  std::chrono::steady_clock::time_point looked_;
};

}  // namespace fastload::io
