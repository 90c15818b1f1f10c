// jpeg/frame.h: the header of a record of entry points -> what its scan is coded with, without libjpeg: for those who read the codes
// themselves. Reads bytes only and owns nothing.
//
// What it takes libjpeg takes too, and reads alike; what is unusual it leaves to libjpeg.
#pragma once

#include "jpeg/coefficients.h"
#include "jpeg/entries.h"
#include "types.h"

namespace fastload::jpeg {

// Samples of the component to the largest in an MCU, and where its quantizers lie in the header, in zigzag order.
struct FrameComponent {
  int32_t across = 1;
  int32_t down = 1;
  uint32_t quantizers = 0;
  bool is_wide = false;  // 16 bits each
};

struct Frame {
  int32_t width = 0;
  int32_t height = 0;
  int32_t count = 0;  // 1: gray, 3: luminance and chroma
  int32_t sampling = 0;  // as in jpeg::Header
  int32_t restart_interval = 0;
  FrameComponent components[kMaxPlanes];
  uint32_t codes[4] = {};  // in the header: DC and AC tables of luminance, then of both of chroma: lengths, then symbols

  // Of the frame that the record is of. False: something is unusual, or the record's layout is another's.
  bool read(const EntryRecord& record);
  // Which blocks `window` depends on.
  Coefficients planes(Box window) const;

 private:
  bool read_frame(ByteSpan segment);
  bool read_quantizers(ByteSpan header, size_t at, size_t end);
  bool read_tables(ByteSpan header, size_t at, size_t end);
  bool read_scan(ByteSpan segment);
  bool is_ycc() const;

  // Where tables lie, by their numbers; 0: nowhere.
  uint32_t quantizers_[4] = {};
  bool are_wide_[4] = {};
  uint32_t tables_[2][4] = {};
  uint8_t ids_[kMaxPlanes] = {};
  uint8_t quantizer_of_[kMaxPlanes] = {};
  bool is_framed_ = false, is_jfif_ = false, is_adobe_ = false;
  uint8_t adobe_transform_ = 0;
};

// The planes that a window depends on, of components of these sizes, whose samples are these many in an MCU.
struct PlaneShape {
  int32_t across, down;   // blocks of an MCU
  int32_t width, height;  // samples
};
Coefficients planes_of(const PlaneShape* shapes, int32_t count, Box window);

}  // namespace fastload::jpeg
