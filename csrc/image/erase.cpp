#include "image/erase.h"

#include <algorithm>
#include <cstring>

namespace fastload::image {

namespace {

// Calls put(c, x, y, where), the last a pointer to the element, for all of the box that is in the sample.
template <typename T, typename Put>
void for_each(const Finished& sample, const Box& box, Put put) {
  const int32_t left = std::max(box.x, 0), right = std::min(box.x + box.width, sample.width);
  const int32_t top = std::max(box.y, 0), bottom = std::min(box.y + box.height, sample.height);
  const bool planar = sample.layout == Layout::chw;
  const ptrdiff_t plane = static_cast<ptrdiff_t>(sample.width) * sample.height;
  const ptrdiff_t pixel_step = planar ? 1 : sample.channels;
  const ptrdiff_t channel_step = planar ? plane : 1;
  for (int32_t c = 0; c < sample.channels; ++c) {
    for (int32_t y = top; y < bottom; ++y) {
      T* const row = reinterpret_cast<T*>(sample.data) + c * channel_step + static_cast<ptrdiff_t>(y) * sample.width * pixel_step;
      for (int32_t x = left; x < right; ++x) put(c, x, y, row + x * pixel_step);
    }
  }
}

template <typename T>
T element(const uint8_t* elements, ptrdiff_t index) {
  T value;
  std::memcpy(&value, elements + index * static_cast<ptrdiff_t>(sizeof(T)), sizeof value);
  return value;
}

// Calls work(T()) with an integer of as many bytes as an element has.
template <typename Work>
void of_size(size_t bytes, Work work) {
  switch (bytes) {
    case 1: return work(uint8_t{});
    case 2: return work(uint16_t{});
    case 4: return work(uint32_t{});
    case 8: return work(uint64_t{});
    default: return;
  }
}

}  // namespace

void fill(const Finished& sample, const Box& box, const uint8_t* elements) {
  of_size(sample.element_bytes, [&](auto kind) {
    using T = decltype(kind);
    for_each<T>(sample, box, [&](int32_t c, int32_t, int32_t, T* to) { *to = element<T>(elements, c); });
  });
}

void paste(const Finished& sample, const Box& box, const uint8_t* elements, bool hflip, bool vflip) {
  of_size(sample.element_bytes, [&](auto kind) {
    using T = decltype(kind);
    for_each<T>(sample, box, [&](int32_t c, int32_t x, int32_t y, T* to) {
      const ptrdiff_t column = hflip ? box.x + box.width - 1 - x : x - box.x;
      const ptrdiff_t row = vflip ? box.y + box.height - 1 - y : y - box.y;
      *to = element<T>(elements, (ptrdiff_t{c} * box.height + row) * box.width + column);
    });
  });
}

}  // namespace fastload::image
