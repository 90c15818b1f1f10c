// image/passes.h: one pass of a resize, along rows or along columns, in scalar and in SIMD. `scalar` is the definition.
#pragma once

#include "image/taps.h"
#include "types.h"

namespace fastload::image {

// `source` starts at the span's begin on the resized axis; on the other axis source and out have the same size.
using Pass = void (*)(const TapsView& taps, const Pixels& source, const Pixels& out);

struct Passes {
  Pass horizontal;
  Pass vertical;
  // The variant's own form of `groups` groups of weights, `packed_words` words each; null where the plain weights serve.
  void (*pack_weights)(const int32_t* weights, int32_t groups, uint32_t* packed);
  int packed_words;
};

extern const Passes kScalarPasses;
#if defined(__x86_64__)
extern const Passes kAvx2Passes;
extern const Passes kAvx512Passes;
#endif

}  // namespace fastload::image
