// jpeg/decode.h: bytes in, RGBX pixels out. The only room that includes jpeglib.h.
//
// One Session per thread, and one thread from open() to decode() (libjpeg-turbo 2.1.5 chooses its SIMD code by
// thread). A Session holds no pixels, and every image is decoded by a fresh libjpeg object, so no image can inherit
// another's tables. Nothing is printed and nothing is thrown: a failure is a Status. The ByteSpan given to open()
// must live until the image is closed (by decode(), by the next open() or by close()).
//
// Pillow is the definition: what is decoded here has the pixels of Image.open(...).convert("RGB"). Wherever Pillow
// could give other pixels or refuse the file, the answer is a failure, and Pillow may be asked; some of these it will
// accept.
#pragma once

#include <memory>
#include <vector>

#include "image/resample.h"
#include "jpeg/coefficients.h"
#include "jpeg/entries.h"
#include "types.h"

namespace fastload::jpeg {

struct Header {
  int32_t width = 0;
  int32_t height = 0;
  // True when the file is whole from the first marker to the end of the image, so that Pillow is sure to accept it
  // and a window may be decoded without looking at the rest. Otherwise only a window of all rows can be decoded: its
  // end was cut, and whether there is enough left shows at the last row.
  bool ends_well = false;
  bool several_scans = false;  // progressive, or components apart
  bool is_ycc = false;         // gray, or luminance and chroma
  int32_t sampling =
      0;  // 10 x columns + rows of luminance for one of chroma, as 22 for 4:2:0; 0: gray; -1: no such ratio
};

// Who decodes the coefficients of plain scans: libjpeg, or we (see jpeg/huffman.h), for any processor or with BMI2's shifts.
enum class Entropy : uint8_t { libjpeg, portable, bmi2 };
Entropy best_entropy();
// Whether this processor can run it.
bool has_entropy(Entropy entropy);

// Of the libjpeg-turbo that is built in, as "2.1.5".
const char* libjpeg_version();

// Bytes of an encoded image.
struct Piece {
  size_t at = 0;
  size_t size = 0;
};

// Against small files that keep a decoder busy for long; progressive files have about ten scans.
constexpr int kMaxScans = 500;

class Session {
 public:
  Session();
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Parses the header, and looks through the file for markers that do not belong (4 us for 110 KB). Of files of several
  // scans (progressive, non-interleaved) it reads every scan, so that whatever is wrong between them is found here.
  // Code::not_native for what is no plain 8-bit JPEG of 1, 3 or 4 components, and for data that libjpeg would have to
  // repair; Code::too_large above max_pixels (0: no limit); Code::damaged where libjpeg gives up.
  Status open(ByteSpan bytes, int64_t max_pixels, Header* header);

  // Decodes `window` (inside the image), every pixel equal to a full decode's, and closes the image. `out->data` must
  // hold required_bytes(window); on success `out` is the window alone (data has moved right by some columns, and rows
  // may be further apart than the window is wide). Code::not_native where the pixels are damaged but a decoder could
  // repair them.
  Status decode(Box window, Pixels* out);

  // Whether the opened image can be had as coefficients: one plain scan, whole, of gray, 4:4:4, 4:2:2 or 4:2:0.
  bool has_coefficients() const;
  // Which ones `window` depends on.
  Coefficients coefficients(Box window) const;
  // In the place of decode(): coefficients(window).size() numbers to `out`. Whoever makes pixels of them as libjpeg does, chroma
  // upsampled smoothly, has decode()'s.
  Status read_coefficients(const Coefficients& wanted, int16_t* out);

  // Opens an image by its entry points (jpeg/entries.h), which live until it is closed. Before decode() or read_coefficients() it is
  // given the codes that these need; Code::not_native where they do not fit the entry points.
  Status open(const EntryRecord& entries, int64_t max_pixels, Header* header);
  Piece codes(Box window) const;
  Piece codes(const Coefficients& wanted) const;
  void give(ByteSpan bytes, size_t at);  // of the encoded image

  // The part of an image's codes that lie below a window's last row, if entry points may be noted; else 1.
  double codes_below(Box window) const;
  // decode() or read_coefficients() shall read these as well, and note entry points. What comes of it does not change the pixels.
  void note(int every) { every_ = every; }
  // In the place of decode(): only notes, and closes the image. Code::not_native where there can be none.
  Status read_codes(int every);
  // What was noted last, as a record. False: nothing. Once.
  bool take_record(const Origin& origin, std::vector<uint8_t>* out);

  // Bytes that decode() may write for a window of the opened image, slack included.
  size_t required_bytes(Box window) const;

  void close();

  // See Buffer; while no image is open.
  void settle();

  // In the place of best_entropy() and best_simd(), which all have at first. scalar: whatever code libjpeg has.
  void use(Entropy entropy);
  void use(image::Simd simd);

 private:
  struct State;
  std::unique_ptr<State> state_;
  int every_ = -1;  // what is noted: see note(); negative: nothing
};

}  // namespace fastload::jpeg
