// bindings_jpeg.h: the JPEG room for Python, which is for tests: one image, one call.
#pragma once

#include <pybind11/pybind11.h>

void bind_jpeg(pybind11::module_& module);
