// image/passes.h: one pass of a resize, along rows or along columns, in scalar and in SIMD. `scalar` is the definition.
#pragma once

#include <cstddef>

#include "image/taps.h"
#include "types.h"

namespace fastload::image {

// `source` starts at the span's begin on the resized axis; on the other axis source and out have the same size. `scratch` is room
// for the weights in the pass's own form: 64-byte aligned, scratch_words() long.
using Pass = void (*)(const TapsView& taps, uint32_t* scratch, const Pixels& source, const Pixels& out);

struct Passes {
  Pass horizontal;
  Pass vertical;
};

// Enough for every variant: 16 words a group of taps, outputs rounded up to whole quads.
inline size_t scratch_words(const TapsView& taps) {
  return 16 * static_cast<size_t>((taps.outputs + 3) / 4 * 4) * static_cast<size_t>(taps.groups);
}

extern const Passes kScalarPasses;
#if defined(__x86_64__)
extern const Passes kAvx2Passes;
extern const Passes kAvx512Passes;
#endif

}  // namespace fastload::image
