// io/http_exchange.h: a request on a connected socket -> the answer's head and, where that says how long it is, its body.
//
// One call a request, so that a thread of Python gives its lock away once. What it does not know (chunks, a body without a length, an
// error's) is left to the caller, with what has come of it. The thread sleeps until the body is there, not until each segment is. Any
// thread may call, one at a time a socket; shutdown(2) from another ends it.
#pragma once

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

// `allocate` gives memory for a body of so many bytes. `is_whole`: the request is for the whole object, so that the body of a 200, and
// not only of a 206, is what is wanted.
HttpAnswer http_exchange(int fd, std::string_view request, bool is_whole,
                         const std::function<uint8_t*(int64_t)>& allocate);

}  // namespace fastload::io
