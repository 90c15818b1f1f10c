// bindings_noise.h: normal deviates, of torch's own making.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "random/generator.h"

namespace fastload::bindings {

// (the bytes of torch.empty(count).normal_() as it draws them from there, cast to one dtype of torch's after the other; the generator
// behind it). With Python's lock.
inline pybind11::tuple torch_noise(const random::Mt19937& generator, size_t count, const std::vector<std::string>& dtypes) {
  const pybind11::module_ noise = pybind11::module_::import("fastload.transforms.normal_noise");
  return noise.attr("drawn")(generator, count, dtypes);
}

}  // namespace fastload::bindings
