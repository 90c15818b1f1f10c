// jpeg/segments.h: a JPEG's markers, read without libjpeg. Pillow walks the segments in Python before libjpeg sees
// them, and refuses some files that libjpeg accepts; these two functions tell the files about which nobody disagrees.
// They read bytes only and own nothing.
#pragma once

#include "types.h"

namespace fastload::jpeg {

// True when the segments up to the first scan are of the kinds that Pillow and libjpeg read alike: one 8-bit frame of
// 1, 3 or 4 components, tables, comments, and application data that Pillow's parser gets through. `*scan` is then
// where the entropy-coded bytes begin. False says nothing against the file; it is just not plain.
bool plain_segments(ByteSpan bytes, size_t* scan);

// Stuffed zeros and restart markers aside, the first marker from `scan` on ends the entropy-coded bytes.
enum class ScanEnd {
  eoi,     // as it should be: a decoder fills in whatever such data lacks and never refuses it, so it may stop anywhere
  none,    // the file was cut: there may or may not be enough for all pixels
  marker,  // another one, which decoders judge differently
};

ScanEnd find_scan_end(ByteSpan bytes, size_t scan);

}  // namespace fastload::jpeg
