// bindings_image.h: the image room for tests: NumPy pixels in and out, every SIMD variant by name.
#pragma once

#include <pybind11/pybind11.h>

void bind_image(pybind11::module_& module);
