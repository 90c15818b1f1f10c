// engine/fallback.h: the other decoder that an engine asks, on the CPU: Pillow, as Python knows it.
#pragma once

#include <cstddef>
#include <functional>

#include "engine/batch.h"
#include "engine/lane.h"

namespace fastload::engine {

// Asked for the pixels of a sample that the native path could not open or decode. It either adopts the whole image into the
// lane and returns ok, or returns why the sample has failed. Called on an engine thread, one call a sample.
using Fallback = std::function<Status(const Batch& batch, size_t slot, Status why, Lane* lane)>;

}  // namespace fastload::engine
