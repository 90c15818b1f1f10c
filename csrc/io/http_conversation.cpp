#include "io/http_conversation.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

namespace fastload::io {

namespace {

constexpr size_t kPiece = size_t{1} << 10;      // with the begin of the body, which is copied
constexpr size_t kLongestHead = size_t{1} << 16;
constexpr int64_t kMostBody = int64_t{1} << 31;
constexpr int64_t kAtOnce = int64_t{1} << 18;  // so much may wait in the system until the thread is woken
constexpr std::string_view kEmptyLine = "\r\n\r\n";

bool is_none_now() { return errno == EAGAIN || errno == EWOULDBLOCK; }

ssize_t receive(int fd, void* out, size_t size) {
  for (;;) {
    const ssize_t count = ::recv(fd, out, size, MSG_DONTWAIT);
    if (count >= 0 || errno != EINTR) return count;
  }
}

bool is_named(std::string_view line, std::string_view name) {
  if (line.size() <= name.size() || line[name.size()] != ':') return false;
  return std::equal(name.begin(), name.end(), line.begin(), [](char wanted, char c) {
    return wanted == (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  });
}

// `each` is told the lines behind the first one, and says whether it wants more.
template <typename Each>
void read_lines(std::string_view head, Each each) {
  for (size_t at = head.find("\r\n"); at != std::string_view::npos;) {
    const size_t next = head.find("\r\n", at + 2);
    const std::string_view line = head.substr(at + 2, next == std::string_view::npos ? next : next - at - 2);
    if (!each(line)) return;
    at = next;
  }
}

std::string_view value_of(std::string_view line) {
  line.remove_prefix(line.find(':') + 1);
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  while (!line.empty() && (line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
  return line;
}

// What the head says of the body's length, where that is all that it says; else negative.
int64_t length_in(std::string_view head) {
  int64_t length = -1;
  read_lines(head, [&](std::string_view line) {
    if (is_named(line, "transfer-encoding")) {
      length = -1;
      return false;
    }
    if (!is_named(line, "content-length")) return true;
    const std::string_view value = value_of(line);
    const bool is_number = !value.empty() && value.size() <= 12 &&
                           std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (length >= 0 || !is_number) {
      length = -1;
      return false;
    }
    length = 0;
    for (const char c : value) length = 10 * length + (c - '0');
    return true;
  });
  return length;
}

bool begins_with_status(std::string_view head, std::string_view status) {
  return head.size() > 12 && head.substr(0, 7) == "HTTP/1." && head.substr(8, 5) == status;
}

// Milliseconds; -1: for ever.
int patience_of(int fd) {
  timeval patience = {};
  socklen_t size = sizeof patience;
  ::getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, &size);
  const int64_t milliseconds = 1000 * static_cast<int64_t>(patience.tv_sec) + patience.tv_usec / 1000;
  return milliseconds > 0 ? static_cast<int>(milliseconds) : -1;
}

}  // namespace

std::string_view http_header(std::string_view head, std::string_view name) {
  std::string_view value;
  read_lines(head, [&](std::string_view line) {
    if (!is_named(line, name)) return true;
    value = value_of(line);
    return false;
  });
  return value;
}

HttpConversation::HttpConversation(int fd, std::string request, bool is_whole, Allocate allocate)
    : fd_(fd), request_(std::move(request)), is_whole_(is_whole), allocate_(std::move(allocate)) {}

HttpConversation::Wants HttpConversation::go_on() {
  Wants wants = Wants::nothing;
  if (stage_ == Stage::looks) {
    if (!is_silent()) return Wants::nothing;
    stage_ = Stage::sends;
  }
  if (stage_ == Stage::sends && (wants = send()) != Wants::nothing) return wants;
  if (stage_ == Stage::receives_head && (wants = receive_head()) != Wants::nothing) return wants;
  return stage_ == Stage::receives_body ? receive_body() : Wants::nothing;
}

void HttpConversation::give_up(int error) {
  errno = error;
  fail(HttpAnswer::End::broken);
}

// As a connection is between two requests.
bool HttpConversation::is_silent() {
  char first = 0;
  const ssize_t count = ::recv(fd_, &first, 1, MSG_PEEK | MSG_DONTWAIT);
  if (count < 0 && is_none_now()) return true;
  fail(count < 0 ? HttpAnswer::End::broken : HttpAnswer::End::not_silent);
  return false;
}

HttpConversation::Wants HttpConversation::send() {
  while (sent_ < request_.size()) {
    const ssize_t sent =
        ::send(fd_, request_.data() + sent_, request_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return is_none_now() ? Wants::to_send : fail(HttpAnswer::End::broken);
    sent_ += static_cast<size_t>(sent);
  }
  stage_ = Stage::receives_head;
  return Wants::nothing;
}

// The head, and in `rest` what came with it.
HttpConversation::Wants HttpConversation::receive_head() {
  std::string& got = answer_.head;
  for (;;) {
    const size_t before = got.size();
    got.resize(before + kPiece);
    const ssize_t count = receive(fd_, got.data() + before, kPiece);
    const int error = errno;
    got.resize(before + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    errno = error;
    if (count < 0 && is_none_now()) return Wants::to_receive;
    if (count <= 0) {
      const HttpAnswer::End end = count < 0 ? HttpAnswer::End::broken
                                  : got.empty() ? HttpAnswer::End::closed
                                                : HttpAnswer::End::cut_head;
      got.clear();
      return fail(end);
    }
    const size_t end = got.find(kEmptyLine, before < kEmptyLine.size() ? 0 : before - kEmptyLine.size());
    if (end != std::string::npos) {
      answer_.rest.assign(got, end + kEmptyLine.size(), std::string::npos);
      got.resize(end);
      begin_body();
      return Wants::nothing;
    }
    if (got.size() > kLongestHead) {
      got.clear();
      return fail(HttpAnswer::End::long_head);
    }
  }
}

void HttpConversation::begin_body() {
  stage_ = Stage::over;
  if (!begins_with_status(answer_.head, " 206 ") && !(is_whole_ && begins_with_status(answer_.head, " 200 "))) return;
  const int64_t length = length_in(answer_.head);
  if (length < 0 || length > kMostBody) return;
  try {
    body_ = allocate_(length);
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
    fail(HttpAnswer::End::broken);
    return;
  }
  answer_.size = length;
  answer_.received = std::min<int64_t>(length, static_cast<int64_t>(answer_.rest.size()));
  std::memcpy(body_, answer_.rest.data(), static_cast<size_t>(answer_.received));
  answer_.rest.erase(0, static_cast<size_t>(answer_.received));
  stage_ = Stage::receives_body;
}

// Not by a receive that waits for all: what that has taken already does not count any more, so that the rest alone may never wake it.
HttpConversation::Wants HttpConversation::receive_body() {
  while (answer_.received < answer_.size) {
    const int64_t left = answer_.size - answer_.received;
    const ssize_t count = receive(fd_, body_ + answer_.received, static_cast<size_t>(std::min(left, kAtOnce)));
    if (count < 0 && is_none_now()) {
      wake_at(std::min(left, kAtOnce));
      return Wants::to_receive;
    }
    if (count <= 0) return fail(count < 0 ? HttpAnswer::End::broken : HttpAnswer::End::cut_body);
    answer_.received += count;
  }
  wake_at(1);
  answer_.has_body = true;
  stage_ = Stage::over;
  return Wants::nothing;
}

// Where it is not set the thread is woken for each segment, nothing else.
void HttpConversation::wake_at(int64_t size) {
  const int lowest = static_cast<int>(size);
  if (lowest == lowest_) return;
  lowest_ = lowest;
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVLOWAT, &lowest, sizeof lowest);
}

HttpConversation::Wants HttpConversation::fail(HttpAnswer::End end) {
  answer_.error = errno;
  answer_.end = end;
  stage_ = Stage::over;
  return Wants::nothing;
}

HttpAnswer http_exchange(int fd, std::string request, bool is_whole, HttpConversation::Allocate allocate) {
  HttpConversation conversation(fd, std::move(request), is_whole, std::move(allocate));
  const int patience = patience_of(fd);
  for (;;) {
    const HttpConversation::Wants wants = conversation.go_on();
    if (wants == HttpConversation::Wants::nothing) return std::move(conversation.answer());
    pollfd socket = {fd, static_cast<short>(wants == HttpConversation::Wants::to_send ? POLLOUT : POLLIN), 0};
    int ready = 0;
    do ready = ::poll(&socket, 1, patience);
    while (ready < 0 && errno == EINTR);
    if (ready == 0) {
      conversation.give_up(EAGAIN);
      return std::move(conversation.answer());
    }
  }
}

}  // namespace fastload::io
