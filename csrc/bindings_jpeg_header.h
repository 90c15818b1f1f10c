// bindings_jpeg_header.h: the header of a JPEG as Pillow reads it.
#pragma once

#include <pybind11/pybind11.h>

namespace fastload::bindings {

void bind_jpeg_header(pybind11::module_& module);

}  // namespace fastload::bindings
