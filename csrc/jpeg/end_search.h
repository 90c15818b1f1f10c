// jpeg/end_search.h: the beginning of a file -> whether its image ends there. It knows markers only, and nothing of libjpeg.
//
// For files with something long behind the image, or in its place: nobody wants a gigabyte in memory to find out.
#pragma once

#include "types.h"

namespace fastload::jpeg {

class EndSearch {
 public:
  // Each time with more of the same file. Foreign is also a JPEG that goes on for longer than its pixels can.
  Rest look(ByteSpan so_far);

 private:
  size_t at_ = 0;    // what comes before was looked at
  size_t most_ = 0;  // the longest that the image can be; 0: its first scan was not seen yet
};

}  // namespace fastload::jpeg
