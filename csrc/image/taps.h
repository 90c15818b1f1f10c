// image/taps.h: one axis of a resize -> which inputs each output reads, with which fixed-point weights.
//
// Pillow's arithmetic (its Resample.c): weights in double, normalised by division, rounded to 22 fractional bits.
#pragma once

#include <cstdint>
#include <vector>

#include "image/resample.h"

namespace fastload::image {

constexpr int kPrecisionBits = 32 - 8 - 2;
// Weights come in groups of this many taps, the last group filled up with zeros.
constexpr int kTapGroup = 4;

// Inputs [begin, end) that outputs [first, first + count) of an axis read.
struct Span {
  int32_t begin;
  int32_t end;
};
Span input_span(Filter filter, const Axis& axis, int32_t first, int32_t count);

// How many taps, a multiple of kTapGroup, each of these outputs has.
int32_t taps_of(Filter filter, const Axis& axis, int32_t first, int32_t count);

class Scale;

// What the passes read: plain pointers, so that files compiled for one processor instantiate nothing that others share.
struct TapsView {
  int32_t outputs;
  int32_t groups;          // of each output
  const int32_t* starts;   // first input of each output, counted from the span's begin
  const int32_t* weights;  // outputs x (groups * kTapGroup)
};

// Buffers only grow; refilled for each image.
class Taps {
 public:
  // The taps of outputs [first, first + count), reading inputs of `span` only. Where the span allows it, no output's groups
  // reach past its end; otherwise they do so by at most kTapGroup - 1 inputs, with zero weights.
  void fill(Filter filter, const Axis& axis, int32_t first, int32_t count, Span span);

  TapsView view() const { return {outputs_, groups_, starts_.data(), weights_.data()}; }

 private:
  template <typename FilterFn>
  void fill_weights(FilterFn filter, const Scale& scale, int32_t first, Span span);

  int32_t outputs_ = 0;
  int32_t groups_ = 0;
  std::vector<int32_t> starts_;
  std::vector<int32_t> weights_;
  std::vector<double> row_;
};

}  // namespace fastload::image
