// jpeg/sequential.h: a JPEG in memory -> one of the same coefficients, in one sequential scan with Huffman tables of its own.
//
// Every pixel is the same, for every decoder; decoding takes one pass over fewer bytes. Markers (EXIF, profiles, comments) are kept.
// What does not fit into `capacity` bytes, or has bytes behind the image, which would be lost, is not_native. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "types.h"

namespace fastload::jpeg {

struct Written {
  Code code = Code::ok;
  size_t size = 0;
  bool was_sequential = false;
};

// `to` has room for `capacity` bytes.
Written write_sequential(ByteSpan bytes, int64_t max_pixels, uint8_t* to, size_t capacity);

}  // namespace fastload::jpeg
