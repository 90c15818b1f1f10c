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

// A column of the window. What its pixels have in common is read once: behind each store the compiler would read it again.
class PixelColumn {
 public:
  FASTLOAD_DEVICE PixelColumn(const ImageWork& work, const uint8_t* scratch, int column)
      : planes_(work.planes),
        ratio_across_(work.across),
        ratio_down_(work.down),
        y_(work.y),
        first_(work.plane[0].y),
        first_chroma_(work.plane[1].y),
        chroma_rows_(work.plane[1].height),
        stride_(int64_t{8} * work.plane[0].columns),
        chroma_stride_(int64_t{8} * work.plane[1].columns),
        light_(scratch + work.plane[0].samples + static_cast<uint64_t>(work.x + column - work.plane[0].x)),
        blue_(scratch + work.plane[1].samples),
        red_(scratch + work.plane[2].samples),
        across_(neighbours(work.x + column, work.across, work.plane[1].x, work.plane[1].width)) {}

  // The pixel of that row, counted from the window's corner: red, green, blue and 0, the first lowest.
  FASTLOAD_DEVICE uint32_t pixel(int row) const {
    const int y = y_ + row;
    const int light = light_[(y - first_) * stride_];
    if (planes_ == 1) return static_cast<uint32_t>(light) * 0x010101u;
    const Neighbours down = neighbours(y, ratio_down_, first_chroma_, chroma_rows_);
    const int blue = upsampled(blue_, chroma_stride_, across_, down, ratio_across_, ratio_down_) - 128;
    const int red = upsampled(red_, chroma_stride_, across_, down, ratio_across_, ratio_down_) - 128;
    constexpr int kHalf = 1 << 15;
    const int r = clamped(light + ((91881 * red + kHalf) >> 16), 0, 255);
    const int g = clamped(light + ((-22554 * blue - 46802 * red + kHalf) >> 16), 0, 255);
    const int b = clamped(light + ((116130 * blue + kHalf) >> 16), 0, 255);
    return static_cast<uint32_t>(r) | static_cast<uint32_t>(g) << 8 | static_cast<uint32_t>(b) << 16;
  }

 private:
  int planes_, ratio_across_, ratio_down_, y_, first_, first_chroma_, chroma_rows_;
  int64_t stride_, chroma_stride_;
  const uint8_t *light_, *blue_, *red_;
  Neighbours across_;
};

}  // namespace fastload::device
