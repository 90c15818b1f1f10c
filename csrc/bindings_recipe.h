// bindings_recipe.h: transforms, recipes, targets, generators and the path table for Python.
#pragma once

#include <pybind11/pybind11.h>

void bind_recipe(pybind11::module_& module);
