// jpeg/decode.h: bytes in, RGBX pixels out. The only room that includes jpeglib.h.
//
// One Session per thread; a Session holds no pixels, and every image is decoded by a fresh libjpeg object, so no image can
// inherit another's tables. Nothing is printed and nothing is thrown: a failure is a Status. The ByteSpan given to open()
// must live until the image is closed (by the next open() or by close()).
#pragma once

#include <memory>

#include "types.h"

namespace fastload::jpeg {

struct Header {
  int32_t width = 0;
  int32_t height = 0;
  // True when a window may be decoded without looking at the rest: the file ends as a JPEG should. Otherwise the caller
  // decodes the whole image, so that damage which a full decode refuses is found wherever it is.
  bool ends_well = false;
};

// Limits against hostile files; Pillow's pixel limit is the caller's to pass.
constexpr int kMaxScans = 500;

class Session {
 public:
  Session();
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Parses up to the first scan; for files of several scans (progressive, non-interleaved) it also reads every scan, so
  // that whatever is wrong between scans is found here. Code::not_native for what is no 8-bit JPEG of 1, 3 or 4 components
  // or what this build of libjpeg cannot read; Code::too_large above max_pixels (0: no limit); Code::damaged otherwise.
  Status open(ByteSpan bytes, int64_t max_pixels, Header* header);

  // Decodes `window` (inside the image) of the opened image, every pixel equal to a full decode's. `out->data` must hold
  // required_bytes(window); on success `out` is the window alone (data may have moved right by a few columns, stride may be
  // wider than the window). Once per open().
  Status decode(Box window, Pixels* out);

  // Bytes that decode() may write for a window of the opened image, slack included.
  size_t required_bytes(Box window) const;

  // libjpeg's warnings (bad codes, extraneous bytes) for the image, which Pillow accepts silently and so do we.
  int64_t warnings() const;

  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fastload::jpeg
