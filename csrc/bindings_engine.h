// bindings_engine.h: the engine, its batches and the single-sample reader for Python.
#pragma once

#include <pybind11/pybind11.h>

void bind_engine(pybind11::module_& module);
