// bindings_names.h: what Python calls the core's enums, where they are not bound as such.
#pragma once

#include <pybind11/numpy.h>

#include "image/pack.h"
#include "types.h"

namespace fastload::bindings {

const char* code_name(Code code);

// NumPy's element; bfloat16 travels as its bits.
pybind11::dtype dtype_of(image::Element element);

}  // namespace fastload::bindings
