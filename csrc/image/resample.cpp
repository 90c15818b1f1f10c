#include "image/resample.h"

#include <cstring>

#include "buffer.h"
#include "image/passes.h"
#include "image/taps.h"

namespace fastload::image {

bool has_simd(Simd simd) {
  switch (simd) {
    case Simd::scalar: return true;
#if defined(__x86_64__)
    case Simd::avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Simd::avx512:
      return has_simd(Simd::avx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
#endif
    default: return false;
  }
}

Simd best_simd() {
  for (const Simd simd : {Simd::avx512, Simd::avx2}) {
    if (has_simd(simd)) return simd;
  }
  return Simd::scalar;
}

Box needed_input(const Resize& resize) {
  const Box& region = resize.region;
  const Span columns = input_span(resize.filter, resize.across(), region.x, region.width);
  const Span rows = input_span(resize.filter, resize.down(), region.y, region.height);
  return {columns.begin, rows.begin, columns.end - columns.begin, rows.end - rows.begin};
}

struct Resampler::State {
  const Passes* passes = &kScalarPasses;
  Taps taps;
  Buffer scratch;
  Buffer between;

  void run(Pass pass, const Pixels& source, const Pixels& out) {
    uint8_t* const words = scratch.reserve(scratch_words(taps.view()) * sizeof(uint32_t));
    pass(taps.view(), reinterpret_cast<uint32_t*>(words), source, out);
  }
};

Resampler::Resampler([[maybe_unused]] Simd simd) : state_(new State) {
#if defined(__x86_64__)
  if (simd == Simd::avx2) state_->passes = &kAvx2Passes;
  if (simd == Simd::avx512) state_->passes = &kAvx512Passes;
#endif
}

Resampler::~Resampler() { delete state_; }

void Resampler::settle() {
  state_->scratch.settle();
  state_->between.settle();
}

void Resampler::run(const Resize& resize, const Pixels& source, const Pixels& out) {
  const Box& region = resize.region;
  const Box need = needed_input(resize);
  const bool across = resize.across().is_changed();
  const bool down = resize.down().is_changed();
  Pixels rows = source;
  if (across) {
    if (down) {
      const ptrdiff_t stride = 4 * static_cast<ptrdiff_t>(region.width);
      const size_t bytes = static_cast<size_t>(stride) * static_cast<size_t>(need.height) + kPixelSlack;
      rows = {state_->between.reserve(bytes), region.width, need.height, stride};
    } else {
      rows = out;
    }
    state_->taps.fill(resize.filter, resize.across(), region.x, region.width, {need.x, need.x + need.width});
    state_->run(state_->passes->horizontal, source, rows);
  }
  if (down) {
    state_->taps.fill(resize.filter, resize.down(), region.y, region.height, {need.y, need.y + need.height});
    state_->run(state_->passes->vertical, rows, out);
  } else if (!across) {
    for (int32_t y = 0; y < out.height; ++y) std::memcpy(out.row(y), source.row(y), 4 * static_cast<size_t>(out.width));
  }
}

}  // namespace fastload::image
