// io/http_conversation.h: a request on a connected socket -> the answer's head and, where that says how long it is, its body.
//
// What it does not know (chunks, a body without a length, an error's) is left to the caller, with what has come of it. It is woken when
// the body is there, not for each segment. One thread at a time; shutdown(2) from another ends it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace fastload::io {

struct HttpAnswer {
  enum class End : uint8_t {
    done,
    broken,    // `error` is the system's
    closed,    // before anything came
    not_silent,  // something had come before it was asked, or the end; nothing was sent
    cut_head,  // closed within the head
    long_head,
    cut_body,  // closed after `received` bytes of it
  };

  End end = End::done;
  int error = 0;
  std::string head;       // without the empty line
  std::string rest;       // received behind the head, where the body was left to the caller
  bool has_body = false;  // all of it was read
  int64_t size = 0;       // of the body
  int64_t received = 0;   // of these
};

class HttpConversation {
 public:
  // Memory for a body of so many bytes.
  using Allocate = std::function<uint8_t*(int64_t)>;
  enum class Wants : uint8_t { nothing, to_send, to_receive };

  // `is_whole`: the request is for the whole object, so that the body of a 200, and not only of a 206, is what is wanted. The socket may
  // block or not; nothing here does.
  HttpConversation(int fd, std::string request, bool is_whole, Allocate allocate);

  // As far as it goes now; then what the socket must be ready for. Nothing: it has ended.
  Wants go_on();
  int fd() const { return fd_; }
  // The socket's owner has waited for long enough.
  void give_up(int error);
  HttpAnswer& answer() { return answer_; }

 private:
  enum class Stage : uint8_t { looks, sends, receives_head, receives_body, over };

  bool is_silent();
  Wants send();
  Wants receive_head();
  void begin_body();
  Wants receive_body();
  void wake_at(int64_t size);
  Wants fail(HttpAnswer::End end);

  const int fd_;
  const std::string request_;
  const bool is_whole_;
  const Allocate allocate_;
  Stage stage_ = Stage::looks;
  size_t sent_ = 0;
  uint8_t* body_ = nullptr;
  int lowest_ = 1;
  HttpAnswer answer_;
};

// From its begin to its end, on a thread that waits, for as long as the socket's owner lets it (SO_RCVTIMEO).
HttpAnswer http_exchange(int fd, std::string request, bool is_whole, HttpConversation::Allocate allocate);

// The value of the head's line of this name (in small letters), without the space around it; empty: it has none, or an empty one.
std::string_view http_header(std::string_view head, std::string_view name);

}  // namespace fastload::io
