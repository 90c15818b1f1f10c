// bindings.cpp: the extension module fastload._core. Each room's bindings check what comes from Python, release the lock, call.
#include <pybind11/pybind11.h>

#include "bindings_engine.h"
#include "bindings_image.h"
#include "bindings_jpeg.h"
#include "bindings_recipe.h"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The native core of fastload: bytes to pixels to tensors. No torch inside.";
  bind_recipe(module);  // first: it names the enums that the others use
  bind_image(module);
  bind_jpeg(module);
  bind_engine(module);
}
