// bindings_image.h: NumPy's pixels as the core keeps them, and back.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cstring>
#include <optional>
#include <string>

#include "engine/pixel_buffer.h"
#include "image/resample.h"

namespace fastload::bindings {

using Bytes = pybind11::array_t<uint8_t, pybind11::array::c_style | pybind11::array::forcecast>;
using Region = std::optional<std::array<int32_t, 4>>;

// Raises ValueError where this machine has no such variant.
image::Simd simd_named(const std::string& name);

// From rows of `channels` bytes a pixel, without gaps.
inline void fill(const Pixels& pixels, const uint8_t* from, ptrdiff_t channels) {
  for (int32_t y = 0; y < pixels.height; ++y) {
    for (int32_t x = 0; x < pixels.width; ++x, from += channels) {
      std::memcpy(pixels.row(y) + 4 * static_cast<ptrdiff_t>(x), from, static_cast<size_t>(channels));
    }
  }
}

// With Python's lock.
inline pybind11::array_t<uint8_t> rgb_of(const Pixels& pixels) {
  pybind11::array_t<uint8_t> array({pixels.height, pixels.width, 3});
  uint8_t* to = array.mutable_data();
  for (int32_t y = 0; y < pixels.height; ++y) {
    for (int32_t x = 0; x < pixels.width; ++x, to += 3) std::memcpy(to, pixels.row(y) + 4 * static_cast<ptrdiff_t>(x), 3);
  }
  return array;
}

// The box of `region`, or of all pixels. Raises ValueError where it lies beyond them.
inline Box region_of(const Pixels& all, const Region& region) {
  const Box box = region ? Box{(*region)[0], (*region)[1], (*region)[2], (*region)[3]} : Box{0, 0, all.width, all.height};
  if (box.x < 0 || box.y < 0 || box.width < 1 || box.height < 1 || box.x + box.width > all.width || box.y + box.height > all.height) {
    throw pybind11::value_error("the region must be a part of the output");
  }
  return box;
}

// RGB (or four-channel) pixels as the core keeps them.
class Image {
 public:
  Image(int32_t width, int32_t height) : pixels_(buffer_.image(width, height)) {}

  explicit Image(const Bytes& array) : Image(width_of(array), static_cast<int32_t>(array.shape(0))) {
    fill(pixels_, array.data(), array.shape(2));
  }

  const Pixels& pixels() const { return pixels_; }
  pybind11::array_t<uint8_t> rgb() const { return rgb_of(pixels_); }

 private:
  static int32_t width_of(const Bytes& array) {
    if (array.ndim() != 3 || (array.shape(2) != 3 && array.shape(2) != 4) || array.size() == 0) {
      throw pybind11::value_error("an image is uint8 [height, width, 3 or 4]");
    }
    return static_cast<int32_t>(array.shape(1));
  }

  engine::PixelBuffer buffer_;
  Pixels pixels_;
};

}  // namespace fastload::bindings
