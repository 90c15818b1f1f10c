// bindings_lock.h: letting go of Python's lock, and taking it.
//
// Note [the interpreter's end]
// A thread that asks for the lock when the interpreter has begun to end never gets it: until Python 3.14 it is ended there
// (pthread_exit), in the middle of C++, and the first destructor that may not throw ends the process with it. Such a thread stays
// where it is instead, as from Python 3.14 on. So the lock is taken here and nowhere else, and what Python code that a thread of ours
// calls may wait for (it lets go of the lock, and takes it again) is waited for in call().
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace fastload {

// While one lives, its thread cannot be ended: it stays.
class StaysForEver {
 public:
  StaysForEver() = default;
  ~StaysForEver() noexcept(false) {
    while (!over_) pause();
  }
  StaysForEver(const StaysForEver&) = delete;
  StaysForEver& operator=(const StaysForEver&) = delete;
  void end() { over_ = true; }

 private:
  bool over_ = false;
};

// Apart, so that it never becomes part of a function that may not throw.
[[gnu::noinline]] inline void lock_again(PyThreadState* state) {
  StaysForEver guard;
  PyEval_RestoreThread(state);
  guard.end();
}

// Calls `work` without the lock, which the caller has.
template <typename Work>
auto unlocked(Work&& work) {
  using Result = std::conditional_t<std::is_void_v<std::invoke_result_t<Work>>, char, std::invoke_result_t<Work>>;
  std::optional<Result> result;
  std::exception_ptr failure;
  PyThreadState* const state = PyEval_SaveThread();
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<Work>>) {
      work();
    } else {
      result.emplace(work());
    }
  } catch (const std::exception&) {
    failure = std::current_exception();
  }
  lock_again(state);
  if (failure) std::rethrow_exception(failure);
  if constexpr (!std::is_void_v<std::invoke_result_t<Work>>) return std::move(*result);
}

// Calls `work` with the lock, whether the caller has it or not.
template <typename Work>
[[gnu::noinline]] auto locked(Work&& work) {
  struct Release {
    PyGILState_STATE state;
    ~Release() { PyGILState_Release(state); }
  };
  StaysForEver asking;
  const Release release{PyGILState_Ensure()};
  asking.end();
  StaysForEver working;
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<Work>>) {
      work();
      working.end();
    } else {
      auto result = work();
      working.end();
      return result;
    }
  } catch (const std::exception&) {
    working.end();
    throw;
  }
}

// callable(*arguments); null: it raised, and the error is set.
[[gnu::noinline]] inline pybind11::object call(const pybind11::object& callable, const pybind11::tuple& arguments) {
  StaysForEver guard;
  PyObject* const result = PyObject_Call(callable.ptr(), arguments.ptr(), nullptr);
  guard.end();
  return pybind11::reinterpret_steal<pybind11::object>(result);
}

}  // namespace fastload
