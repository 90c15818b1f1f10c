// random/streams.h: torch's generator, and beside it Python's and NumPy's where a recipe draws from them.
#pragma once

#include <optional>

#include "random/generator.h"

namespace fastload::random {

// Python's `random`.
struct PythonState {
  Mt19937 words;
  Normal kept;
};

// NumPy's legacy generator.
struct NumpyState {
  Mt19937 words;
  Normal kept;  // nothing here draws or uses it up
};

struct Streams final : Generator {
  Streams(const Mt19937& of_torch) : torch(of_torch) {}  // NOLINT(google-explicit-constructor): most recipes need no other

  uint32_t next() override { return torch.next(); }
  Mt19937* as_torch() override { return &torch; }
  Python python() override { return of_python ? Python(&of_python->words, &of_python->kept) : Generator::python(); }
  Numpy numpy() override { return of_numpy ? Numpy(&of_numpy->words) : Generator::numpy(); }

  Mt19937 torch;
  std::optional<PythonState> of_python;
  std::optional<NumpyState> of_numpy;
};

}  // namespace fastload::random
