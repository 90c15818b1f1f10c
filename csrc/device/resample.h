// device/resample.h: a window's pixels -> the finished image's, by Pillow's resize in Pillow's arithmetic: weights in double, rounded to
// 22 bits' fixed point, two passes with a rounding to 8 bits behind each. image/taps.h has the same weights on the CPU.
#pragma once

#include "device/pixels.h"

namespace fastload::device {

constexpr int kWeightBits = 22;

FASTLOAD_DEVICE double filtered(int weights_of, double x) {
  if (weights_of == kBox) return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
  x = x < 0 ? -x : x;
  if (weights_of == kBilinear) return x < 1.0 ? 1.0 - x : 0.0;
  constexpr double a = -0.5;
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

FASTLOAD_DEVICE double support_of(int weights_of) { return weights_of == kBox ? 0.5 : weights_of == kBilinear ? 1.0 : 2.0; }

FASTLOAD_DEVICE int32_t fixed_point(double weight) {
  const double scaled = weight * (1 << kWeightBits);
  return static_cast<int32_t>(weight < 0 ? scaled - 0.5 : scaled + 0.5);
}

// The start and the weights of output i, where they are not given.
FASTLOAD_DEVICE void make_weights(const PassWork& pass, int i, uint8_t* scratch) {
  int32_t* const starts = reinterpret_cast<int32_t*>(scratch + pass.weights);
  int32_t* weights = starts + pass.outputs + static_cast<int64_t>(i) * pass.taps;
  if (pass.weights_of == kCopied) {
    starts[i] = i;
    weights[0] = 1 << kWeightBits;
    return;
  }
  const double scale = static_cast<double>(pass.in_size) / pass.out_size;
  const double stretch = scale > 1.0 ? scale : 1.0;
  const double support = support_of(pass.weights_of) * stretch;
  const double inverse = 1.0 / stretch;
  const double center = (pass.first + i + 0.5) * scale;
  const int begin = most(0, static_cast<int>(center - support + 0.5));
  const int count = least(least(pass.in_size, static_cast<int>(center + support + 0.5)) - begin, pass.taps);
  double sum = 0.0;
  for (int k = 0; k < count; ++k) sum += filtered(pass.weights_of, (k + begin - center + 0.5) * inverse);
  const int start = least(begin - pass.origin, most(0, pass.span - pass.taps));
  starts[i] = start;
  const int before = least(begin - pass.origin - start, pass.taps - count);
  for (int k = 0; k < pass.taps; ++k) weights[k] = 0;
  for (int k = 0; k < count; ++k) {
    const double value = filtered(pass.weights_of, (k + begin - center + 0.5) * inverse);
    weights[before + k] = fixed_point(sum != 0.0 ? value / sum : value);
  }
}

FASTLOAD_DEVICE uint32_t as_byte(int32_t sum) { return static_cast<uint32_t>(clamped(sum >> kWeightBits, 0, 255)); }

// Pixels, each times its weight.
struct Sum {
  int32_t red = 1 << (kWeightBits - 1), green = red, blue = red;

  FASTLOAD_DEVICE void add(uint32_t pixel, int32_t weight) {
    red += weight * static_cast<int32_t>(pixel & 255);
    green += weight * static_cast<int32_t>(pixel >> 8 & 255);
    blue += weight * static_cast<int32_t>(pixel >> 16 & 255);
  }
  FASTLOAD_DEVICE uint32_t pixel() const { return as_byte(red) | as_byte(green) << 8 | as_byte(blue) << 16; }
};

FASTLOAD_DEVICE int rows_of(const PassWork& pass) { return pass.vertical != 0 ? pass.outputs : pass.lines; }
FASTLOAD_DEVICE int columns_of(const PassWork& pass) { return pass.vertical != 0 ? pass.lines : pass.outputs; }

// Where the taps of an output begin, and their weights.
struct Weighed {
  int32_t start;
  const int32_t* weights;
};
FASTLOAD_DEVICE Weighed weighed(const PassWork& pass, const uint8_t* block, const uint8_t* scratch, int output) {
  const int32_t* const starts = reinterpret_cast<const int32_t*>((pass.weights_of == kGiven ? block : scratch) + pass.weights);
  return {starts[output], starts + pass.outputs + static_cast<int64_t>(output) * pass.taps};
}

// A pixel of what the first pass makes of the planes.
FASTLOAD_DEVICE uint32_t first_pixel(const ImageWork& work, const uint8_t* block, const uint8_t* scratch, int column, int row) {
  const PassWork& pass = work.pass[0];
  const bool vertical = pass.vertical != 0;
  const Weighed taps = weighed(pass, block, scratch, vertical ? row : column);
  Sum sum;
  for (int tap = 0; tap < pass.taps; ++tap) {
    const int at = least(taps.start + tap, pass.span - 1);
    const PixelColumn pixels(work, scratch, vertical ? column : at);
    sum.add(pixels.pixel(vertical ? at : row), taps.weights[tap]);
  }
  return sum.pixel();
}

// What the second pass does. Copies, as in PixelColumn.
struct SecondPass {
  PassWork pass;
  const uint8_t *block, *scratch;
  const uint32_t* between;
  bool flips_across, flips_down;

  FASTLOAD_DEVICE SecondPass(const ImageWork& work, const uint8_t* in_block, const uint8_t* in_scratch)
      : pass(work.pass[1]),
        block(in_block),
        scratch(in_scratch),
        between(reinterpret_cast<const uint32_t*>(in_scratch + work.between)),
        flips_across(work.flip_horizontal != 0),
        flips_down(work.flip_vertical != 0) {}

  // The pixel that it makes.
  FASTLOAD_DEVICE uint32_t pixel(int column, int row) const {
    const bool vertical = pass.vertical != 0;
    const Weighed taps = weighed(pass, block, scratch, vertical ? row : column);
    const int64_t width = vertical ? pass.lines : pass.span, step = vertical ? width : 1;
    const uint32_t* const line = between + (vertical ? column : row * width);
    Sum sum;
    for (int tap = 0; tap < pass.taps; ++tap) sum.add(line[least(taps.start + tap, pass.span - 1) * step], taps.weights[tap]);
    return sum.pixel();
  }

  // Where it belongs in the finished image, red first; rows are `width` pixels long.
  FASTLOAD_DEVICE void put(uint32_t pixel, int column, int row, int width, int height, uint8_t* image) const {
    const int64_t x = flips_across ? width - 1 - column : column, y = flips_down ? height - 1 - row : row;
    uint8_t* const to = image + 3 * (y * width + x);
    to[0] = static_cast<uint8_t>(pixel);
    to[1] = static_cast<uint8_t>(pixel >> 8);
    to[2] = static_cast<uint8_t>(pixel >> 16);
  }
};

}  // namespace fastload::device
