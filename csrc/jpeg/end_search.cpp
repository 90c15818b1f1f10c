#include "jpeg/end_search.h"

#include "jpeg/segments.h"

namespace fastload::jpeg {

namespace {

// All that comes before the pixels: profiles, previews, depth maps.
constexpr size_t kMostSegments = size_t{1} << 26;
// Black and white noise at quality 100 takes 1.6.
constexpr size_t kMostBytesPerSample = 4;

}  // namespace

Rest EndSearch::look(ByteSpan so_far) {
  if (most_ == 0) {
    Scan scan;
    switch (read_segments(so_far, &scan)) {
      case Segments::plain: break;
      case Segments::cut: return so_far.size < kMostSegments ? Rest::wanted : Rest::foreign;
      case Segments::other: return Rest::foreign;
    }
    at_ = scan.begin;
    most_ = scan.begin + kMostBytesPerSample * scan.samples;
  }
  if (find_image_end(so_far, &at_)) return Rest::unwanted;
  return so_far.size < most_ ? Rest::wanted : Rest::foreign;
}

}  // namespace fastload::jpeg
