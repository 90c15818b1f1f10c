#include "io/http_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace fastload::io {

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kWaker = UINT64_MAX;  // no conversation's
constexpr int kEventsAtOnce = 64;
constexpr std::chrono::milliseconds kLookEach{1000};  // for silent ones

}  // namespace

HttpLoop::HttpLoop(std::chrono::milliseconds patience) : patience_(patience), looked_(Clock::now()) {
  events_ = ::epoll_create1(EPOLL_CLOEXEC);
  waker_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = kWaker;
  if (events_ >= 0 && waker_ >= 0 && ::epoll_ctl(events_, EPOLL_CTL_ADD, waker_, &event) == 0) return;
  const int error = errno;
  if (events_ >= 0) ::close(events_);
  if (waker_ >= 0) ::close(waker_);
  throw std::system_error(error, std::generic_category(), "no loop for requests");
}

HttpLoop::~HttpLoop() {
  ::close(events_);
  ::close(waker_);
}

void HttpLoop::wake() {
  const uint64_t one = 1;
  while (::write(waker_, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void HttpLoop::begin(Number number, std::unique_ptr<HttpConversation> conversation) {
  new_.push_back(number);
  talks_[number].conversation = std::move(conversation);
}

HttpLoop::Ended HttpLoop::run() {
  Ended ended;
  begin_new(&ended);
  for (bool is_woken = false; ended.empty() && !is_woken;) {
    epoll_event events[kEventsAtOnce];
    const int wait = talks_.empty() ? -1 : static_cast<int>(kLookEach.count());
    const int count = ::epoll_wait(events_, events, kEventsAtOnce, wait);
    if (count < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), "requests cannot be waited for");
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 != kWaker) {
        go_on(events[i].data.u64, &ended);
        continue;
      }
      uint64_t sum = 0;
      is_woken = ::read(waker_, &sum, sizeof sum) > 0 || is_woken;
    }
    give_up_silent(&ended);
  }
  return ended;
}

void HttpLoop::begin_new(Ended* ended) {
  for (const Number number : new_) go_on(number, ended);
  new_.clear();
}

void HttpLoop::go_on(Number number, Ended* ended) {
  const auto found = talks_.find(number);
  if (found == talks_.end()) return;
  Talk& talk = found->second;
  const int fd = talk.conversation->fd();
  const HttpConversation::Wants before = talk.wants;
  talk.wants = talk.conversation->go_on();
  talk.heard = Clock::now();
  if (talk.wants != before) {
    epoll_event event = {};
    event.events = talk.wants == HttpConversation::Wants::to_send ? EPOLLOUT : EPOLLIN;
    event.data.u64 = number;
    const int change = talk.wants == HttpConversation::Wants::nothing ? EPOLL_CTL_DEL
                       : before == HttpConversation::Wants::nothing   ? EPOLL_CTL_ADD
                                                                      : EPOLL_CTL_MOD;
    if (::epoll_ctl(events_, change, fd, &event) != 0 && change != EPOLL_CTL_DEL) {
      talk.conversation->give_up(errno);
      talk.wants = HttpConversation::Wants::nothing;
    }
  }
  if (talk.wants != HttpConversation::Wants::nothing) return;
  ended->emplace_back(number, std::move(talk.conversation->answer()));
  talks_.erase(found);
}

void HttpLoop::give_up_silent(Ended* ended) {
  const Clock::time_point now = Clock::now();
  if (now - looked_ < std::min(kLookEach, patience_)) return;
  looked_ = now;
  for (auto next = talks_.begin(); next != talks_.end();) {
    Talk& talk = next->second;
    if (talk.wants == HttpConversation::Wants::nothing || now - talk.heard < patience_) {
      ++next;
      continue;
    }
    ::epoll_ctl(events_, EPOLL_CTL_DEL, talk.conversation->fd(), nullptr);
    talk.conversation->give_up(EAGAIN);
    ended->emplace_back(next->first, std::move(talk.conversation->answer()));
    next = talks_.erase(next);
  }
}

}  // namespace fastload::io
