// device/pixels.h: the samples of an image's planes -> the pixels of its window: chroma upsampled smoothly, then RGB, as libjpeg has it.
#pragma once

#include "device/image_work.h"

namespace fastload::device {

// Where along an axis the sample for that place lies, and its neighbour on the place's side.
struct Neighbours {
  int near, far, odd;
};

FASTLOAD_DEVICE Neighbours neighbours(int place, int ratio, int first, int count) {
  const int odd = place & 1;
  if (ratio == 1) return {place - first, place - first, odd};
  const int near = place >> 1;
  return {near - first, clamped(near + 2 * odd - 1, 0, count - 1) - first, odd};
}

// Between samples three parts of the nearer and one of the other.
FASTLOAD_DEVICE int upsampled(const uint8_t* samples, int64_t stride, const Neighbours& x, const Neighbours& y, int across, int down) {
  const uint8_t* const near_row = samples + y.near * stride;
  if (across == 1 && down == 1) return near_row[x.near];
  const uint8_t* const far_row = samples + y.far * stride;
  if (across == 1) return (3 * near_row[x.near] + far_row[x.near] + 1 + y.odd) >> 2;
  if (down == 1) return (3 * near_row[x.near] + near_row[x.far] + 1 + x.odd) >> 2;
  const int near_sum = 3 * near_row[x.near] + far_row[x.near], far_sum = 3 * near_row[x.far] + far_row[x.far];
  return (3 * near_sum + far_sum + 8 - x.odd) >> 4;
}

// The pixel of the window, counted from its corner: red, green, blue and 0, the first lowest.
FASTLOAD_DEVICE uint32_t pixel_of(const ImageWork& work, const uint8_t* scratch, int column, int row) {
  const int x = work.x + column, y = work.y + row;
  const PlaneWork& luminance = work.plane[0];
  const int light = scratch[luminance.samples + static_cast<uint64_t>((y - luminance.y) * (int64_t{8} * luminance.columns) + (x - luminance.x))];
  if (work.planes == 1) return static_cast<uint32_t>(light) * 0x010101u;
  const PlaneWork& chroma = work.plane[1];
  const int64_t stride = int64_t{8} * chroma.columns;
  const Neighbours across = neighbours(x, work.across, chroma.x, chroma.width);
  const Neighbours down = neighbours(y, work.down, chroma.y, chroma.height);
  const int blue = upsampled(scratch + chroma.samples, stride, across, down, work.across, work.down) - 128;
  const int red = upsampled(scratch + work.plane[2].samples, stride, across, down, work.across, work.down) - 128;
  constexpr int kHalf = 1 << 15;
  const int r = clamped(light + ((91881 * red + kHalf) >> 16), 0, 255);
  const int g = clamped(light + ((-22554 * blue - 46802 * red + kHalf) >> 16), 0, 255);
  const int b = clamped(light + ((116130 * blue + kHalf) >> 16), 0, 255);
  return static_cast<uint32_t>(r) | static_cast<uint32_t>(g) << 8 | static_cast<uint32_t>(b) << 16;
}

}  // namespace fastload::device
