// bindings.h: what each bindings_*.cpp adds to the module. They check what comes from Python, release the lock, call.
#pragma once

#include <pybind11/pybind11.h>

namespace fastload::bindings {

// In the order in which they are called: a class comes before what takes or gives it.
void bind_random(pybind11::module_& module);
void bind_streams(pybind11::module_& module);     // generators that are drawn from together, and draw orders
void bind_blur(pybind11::module_& module);        // blurs, and for tests what they make of NumPy pixels
void bind_transforms(pybind11::module_& module);  // transforms and recipes, and the enums that they take
void bind_timm(pybind11::module_& module);        // what of timm a transform holds
void bind_policies(pybind11::module_& module);    // what policies of transforms do
void bind_mix(pybind11::module_& module);         // AugMix
void bind_target(pybind11::module_& module);
void bind_index(pybind11::module_& module);  // the path table
void bind_shards_tar(pybind11::module_& module);
void bind_image(pybind11::module_& module);  // for tests: NumPy pixels in and out, every SIMD variant by name
void bind_jpeg(pybind11::module_& module);   // for tests: bytes of JPEGs in, NumPy pixels and coefficients out
void bind_http(pybind11::module_& module);
void bind_memory(pybind11::module_& module);
void bind_cache(pybind11::module_& module);
void bind_entries(pybind11::module_& module);
void bind_device(pybind11::module_& module);   // what a GPU runs: its source, and the same on this machine
void bind_batch(pybind11::module_& module);
void bind_engine(pybind11::module_& module);
void bind_reader(pybind11::module_& module);
void bind_lazy_jpeg(pybind11::module_& module);
void bind_versions(pybind11::module_& module);

}  // namespace fastload::bindings
