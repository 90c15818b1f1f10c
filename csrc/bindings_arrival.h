// bindings_arrival.h: an io::Arrival as Python holds it, with what the bytes lie in.
#pragma once

#include <pybind11/pybind11.h>

#include "io/arrival.h"

namespace fastload::bindings {

struct PyArrival {
  io::Arrival arrival;
  pybind11::object view;  // of the bytes, once they are there
};

// A view of the flat run of bytes that an object has, and these; ValueError where it is none.
pybind11::memoryview view_of_bytes(const pybind11::handle& object, ByteSpan* bytes);

void bind_arrival(pybind11::module_& module);

}  // namespace fastload::bindings
