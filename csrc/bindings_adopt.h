// bindings_adopt.h: what Python's decoder is given, and the pixels that it gives. With Python's lock.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <cstring>

#include "engine/lane.h"

namespace fastload::bindings {

// A copy; None where there is no data.
inline pybind11::object as_bytes(ByteSpan span) {
  if (span.data == nullptr) return pybind11::none();
  return pybind11::bytes(reinterpret_cast<const char*>(span.data), span.size);
}

// Pixels of any uint8 [height, width, 3] array into the lane; false: it is none.
inline bool adopt_array(const pybind11::object& object, engine::Lane* lane) {
  using Array = pybind11::array_t<uint8_t, pybind11::array::c_style | pybind11::array::forcecast>;
  const auto array = Array::ensure(object);
  if (!array || array.ndim() != 3 || array.shape(2) != 3 || array.shape(0) < 1 || array.shape(1) < 1) return false;
  const Pixels pixels = lane->adopt(static_cast<int32_t>(array.shape(1)), static_cast<int32_t>(array.shape(0)));
  const uint8_t* from = array.data();
  for (int32_t y = 0; y < pixels.height; ++y) {
    uint8_t* to = pixels.row(y);
    for (int32_t x = 0; x < pixels.width; ++x, from += 3, to += 4) std::memcpy(to, from, 3);
  }
  return true;
}

}  // namespace fastload::bindings
