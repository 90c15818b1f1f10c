// jpeg/segments.h: a JPEG's markers, read without libjpeg. Pillow walks the segments in Python before libjpeg sees
// them, and refuses some files that libjpeg accepts; these functions tell the files about which nobody disagrees.
// They read bytes only and own nothing.
#pragma once

#include <vector>

#include "types.h"

namespace fastload::jpeg {

// Plain are segments of the kinds that Pillow and libjpeg read alike: one 8-bit frame of 1, 3 or 4 components, tables,
// comments, and application data that Pillow's parser gets through.
enum class Segments {
  plain,  // all up to the first scan
  cut,    // so far
  other,  // which says nothing against the file
};

// Of plain ones: where the entropy-coded bytes of the first scan begin, and the frame's samples, all components at full size.
struct Scan {
  size_t begin = 0;
  size_t samples = 0;
};

Segments read_segments(ByteSpan bytes, Scan* scan);

// Of plain ones up to `scan`: those that the pixels depend on, from the SOI to the scan's own. False: there are more than kMostTables
// bytes of them.
constexpr size_t kMostTables = 4096;
bool copy_tables(ByteSpan bytes, size_t scan, std::vector<uint8_t>* out);

// Stuffed zeros and restart markers aside, the first marker from `scan` on ends the entropy-coded bytes.
enum class ScanEnd {
  eoi,     // as it should be: a decoder fills in whatever such data lacks and never refuses it, so it may stop anywhere
  none,    // the file was cut: there may or may not be enough for all pixels
  marker,  // another one, which decoders judge differently
};

ScanEnd find_scan_end(ByteSpan bytes, size_t scan);

// Whether the image ends in these bytes, from `*at` on, which is among entropy-coded ones; through as many scans as there are. If
// not, `*at` is where to go on when there are more bytes; it may lie behind these.
bool find_image_end(ByteSpan bytes, size_t* at);

}  // namespace fastload::jpeg
