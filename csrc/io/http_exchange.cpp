#include "io/http_exchange.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0  // Python ignores SIGPIPE
#endif

namespace fastload::io {

namespace {

constexpr size_t kPiece = size_t{1} << 13;      // with the begin of the body, which is copied
constexpr size_t kLongestHead = size_t{1} << 16;
constexpr int64_t kMostBody = int64_t{1} << 31;
constexpr int64_t kAtOnce = int64_t{1} << 18;  // so much may wait in the system until the thread is woken
constexpr std::string_view kEmptyLine = "\r\n\r\n";

class Exchange {
 public:
  Exchange(int fd, HttpAnswer* answer) : fd_(fd), answer_(answer) {}

  // As a connection is between two requests.
  bool is_silent() {
    char first = 0;
    const ssize_t count = ::recv(fd_, &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    return fail(count < 0 ? HttpAnswer::End::broken : HttpAnswer::End::not_silent);
  }

  bool send(std::string_view request) {
    while (!request.empty()) {
      const ssize_t sent = ::send(fd_, request.data(), request.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return fail(HttpAnswer::End::broken);
      request.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // The head, and in `rest` what came with it.
  bool receive_head() {
    std::string got;
    for (size_t end = 0;;) {
      const size_t before = got.size();
      got.resize(before + kPiece);
      const ssize_t count = receive(got.data() + before, kPiece, 0);
      got.resize(before + static_cast<size_t>(std::max<ssize_t>(count, 0)));
      if (count < 0) return fail(HttpAnswer::End::broken);
      if (count == 0) return fail(got.empty() ? HttpAnswer::End::closed : HttpAnswer::End::cut_head);
      end = got.find(kEmptyLine, before < kEmptyLine.size() ? 0 : before - kEmptyLine.size());
      if (end != std::string::npos) {
        answer_->rest = got.substr(end + kEmptyLine.size());
        got.resize(end);
        answer_->head = std::move(got);
        return true;
      }
      if (got.size() > kLongestHead) return fail(HttpAnswer::End::long_head);
    }
  }

  bool receive_body(uint8_t* out) {
    const auto first = std::min<int64_t>(answer_->size, static_cast<int64_t>(answer_->rest.size()));
    std::memcpy(out, answer_->rest.data(), static_cast<size_t>(first));
    answer_->rest.erase(0, static_cast<size_t>(first));
    answer_->received = first;
    while (answer_->received < answer_->size) {
      const int64_t wanted = std::min(answer_->size - answer_->received, kAtOnce);
      wake_at(wanted);
      wait();
      const ssize_t count = receive(out + answer_->received, static_cast<size_t>(wanted), MSG_DONTWAIT);
      if (count <= 0) return fail(count < 0 ? HttpAnswer::End::broken : HttpAnswer::End::cut_body);
      answer_->received += count;
    }
    wake_at(1);
    return true;
  }

 private:
  ssize_t receive(void* out, size_t size, int flags) {
    for (;;) {
      const ssize_t count = ::recv(fd_, out, size, flags);
      if (count >= 0 || errno != EINTR) return count;
    }
  }

  // Until so much is there, the other side ends, or it has been silent for as long as the socket's owner lets it. Not by a receive that
  // waits for all: what that has taken already does not count any more, so that the rest alone may never wake it.
  void wait() {
    if (patience_ == 0) {
      timeval patience = {};
      socklen_t size = sizeof patience;
      ::getsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, &size);
      const int64_t milliseconds = 1000 * static_cast<int64_t>(patience.tv_sec) + patience.tv_usec / 1000;
      patience_ = milliseconds > 0 ? static_cast<int>(milliseconds) : -1;
    }
    pollfd socket = {fd_, POLLIN, 0};
    while (::poll(&socket, 1, patience_) < 0 && errno == EINTR) {
    }
  }

  // Where it is not set the thread is woken for each segment, nothing else.
  void wake_at(int64_t size) {
    const int lowest = static_cast<int>(size);
    if (lowest == lowest_) return;
    lowest_ = lowest;
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVLOWAT, &lowest, sizeof lowest);
  }

  bool fail(HttpAnswer::End end) {
    answer_->error = errno;
    answer_->end = end;
    return false;
  }

  int fd_;
  HttpAnswer* answer_;
  int lowest_ = 1;
  int patience_ = 0;  // milliseconds; 0: not asked for yet
};

bool is_named(std::string_view line, std::string_view name) {
  if (line.size() <= name.size() || line[name.size()] != ':') return false;
  return std::equal(name.begin(), name.end(), line.begin(), [](char wanted, char c) {
    return wanted == (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  });
}

// What the head says of the body's length, where that is all that it says; else negative.
int64_t length_in(std::string_view head) {
  int64_t length = -1;
  for (size_t at = head.find("\r\n"); at != std::string_view::npos;) {
    const size_t next = head.find("\r\n", at + 2);
    std::string_view line = head.substr(at + 2, next == std::string_view::npos ? next : next - at - 2);
    at = next;
    if (is_named(line, "transfer-encoding")) return -1;
    if (!is_named(line, "content-length")) continue;
    line.remove_prefix(line.find(':') + 1);
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
    if (length >= 0 || line.empty() || line.size() > 12) return -1;
    length = 0;
    for (const char c : line) {
      if (c < '0' || c > '9') return -1;
      length = 10 * length + (c - '0');
    }
  }
  return length;
}

bool begins_with_status(std::string_view head, std::string_view status) {
  return head.size() > 12 && head.substr(0, 7) == "HTTP/1." && head.substr(8, 5) == status;
}

}  // namespace

HttpAnswer http_exchange(int fd, std::string_view request, bool is_whole,
                         const std::function<uint8_t*(int64_t)>& allocate) {
  HttpAnswer answer;
  Exchange exchange(fd, &answer);
  if (!exchange.is_silent() || !exchange.send(request) || !exchange.receive_head()) return answer;
  if (!begins_with_status(answer.head, " 206 ") && !(is_whole && begins_with_status(answer.head, " 200 ")))
    return answer;
  const int64_t length = length_in(answer.head);
  if (length < 0 || length > kMostBody) return answer;
  answer.size = length;
  answer.has_body = exchange.receive_body(allocate(length));
  return answer;
}

}  // namespace fastload::io
