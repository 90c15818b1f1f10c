// bindings_torch_draw.h: torch's generator on its way into one native draw and back, without a Python object for each of its words.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

#include "random/generator.h"

namespace fastload::bindings {

// With Python's lock, but for what is drawn.
class TorchDraw {
 public:
  // ValueError: it is no CPU generator.
  explicit TorchDraw(pybind11::object generator);

  // To be drawn from.
  random::Mt19937& native() { return now_; }
  // torch's generator goes on from here.
  void keep();
  // As if nothing had been drawn, unless others have drawn since.
  void undo();

 private:
  const pybind11::object generator_;
  pybind11::object state_;  // of torch: what was read, and then what was kept
  random::Mt19937 before_;
  random::Mt19937 now_;
};

void bind_torch_draw(pybind11::module_& module);

}  // namespace fastload::bindings
