// engine/thread_setup.h: what a thread of ours is told of the system before it works.
#pragma once

#include <signal.h>

namespace fastload::engine {

// This thread gives way to others by so much; Linux has a niceness for each (setpriority(2)), elsewhere nothing happens.
void be_nice(int niceness);

// While one lives, threads that this one starts inherit blocked signals: those are for the threads that a program has made, which may
// wait for them. What is a fault of a thread stays its own.
class SignalsBlocked {
 public:
  SignalsBlocked();
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace fastload::engine
