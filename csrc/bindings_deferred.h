// bindings_deferred.h: the samples of a batch that were deferred. With Python's lock.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>

#include "engine/batch.h"

namespace fastload::bindings {

// Samples of which something was deferred, those of which codes were, all pixels of their images, and how many numbers their passes'
// taps are.
int64_t count_deferred(const engine::Results& results);
int64_t count_codes(const engine::Results& results);
pybind11::list samplings_of(const engine::Results& results);
int64_t count_pixels(const engine::Results& results);
int64_t count_taps(const engine::Results& results);

// {reason: how many samples were decoded here for it}.
pybind11::dict kept_here(const engine::Results& results);

// (samples: int32 [n, 8], passes: int32 [n, 2, 6], encoded: n uint8 arrays, which hold the batch). The taps go to `taps`; ValueError
// where it has not as many elements.
pybind11::tuple deferred(const std::shared_ptr<engine::Batch>& batch,
                         pybind11::array_t<int32_t, pybind11::array::c_style> taps);

// (slabs: [(block, used bytes)], where the works lie in them, bytes of scratch memory, (intervals, blocks, columns of the window, rows between
// the passes: the most of an image)); the blocks are the caller's to give back.
pybind11::tuple windows(engine::Batch* batch);

}  // namespace fastload::bindings
