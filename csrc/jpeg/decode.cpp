#include "jpeg/decode.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include "image/colour.h"
#include "jpeg/blocks.h"
#include "jpeg/codec.h"
#include "jpeg/segments.h"

namespace fastload::jpeg {

namespace {

// A narrower window would have its chroma upsampled by other means than the image's. 16 columns are four of chroma in
// 4:1:1, and libjpeg wants three.
constexpr int32_t kMinColumns = 16;
// libjpeg's colour conversion writes past the caches where a row starts on a multiple of 32 bytes, and the resampler
// would then read the pixels back from memory. Rows start between two multiples: this saves 9 % of decoding, and more
// than half of the time of whoever reads the pixels next.
constexpr ptrdiff_t kRowAlignment = 32;
constexpr ptrdiff_t kRowOffset = 16;

// Columns [x, x + width) of the image, as libjpeg will write them.
struct Columns {
  int32_t x;
  int32_t width;

  ptrdiff_t stride() const {
    return (4 * static_cast<ptrdiff_t>(width) + kRowAlignment - 1) / kRowAlignment * kRowAlignment;
  }
};

// The same byte three times a pixel. Gray images take a tenth less time this way than with libjpeg's own loop.
void spread_gray(const uint8_t* __restrict gray, uint8_t* __restrict rgbx, int32_t count) {
  for (int32_t i = 0; i < count; ++i) {
    const uint32_t pixel = gray[i] * 0x01010101u;
    std::memcpy(rgbx + 4 * static_cast<ptrdiff_t>(i), &pixel, sizeof(pixel));
  }
}

// MCUs of columns [left, right) and rows [top, bottom).
struct Mcus {
  int left;
  int right;
  int top;
  int bottom;
};

// What was noted of an image's codes.
struct Noted {
  bool is_there = false;
  ScanLayout layout;
  uint32_t end_bit = 0;
  std::vector<uint8_t> header;
};

}  // namespace

struct Session::State {
  Codec codec;
  bool ends_well = false;
  bool has_codes = false;  // that are read by us, one scan of them
  ByteSpan bytes;          // of an image that was opened with them,
  size_t scan_at = 0;      // … and where its codes begin
  const EntryRecord* entries = nullptr;  // of one that was opened without
  ByteSpan codes;
  size_t codes_at = 0;  // in the scan
  Noted noted;

  Status open(ByteSpan from, size_t scan, int64_t max_pixels, Header* header);
  Status open(const EntryRecord& from, int64_t max_pixels, Header* header);
  void start(int64_t max_pixels, Header* header);
  Status decode(Box window, Pixels* out, int every);
  Status read_codes(int every);
  void end_notes();
  Status fail();

  Mcus mcus(Columns span, Box window) const;
  Mcus mcus(const Coefficients& wanted) const;
  Piece piece(const Mcus& wanted) const;

  bool is_complete() const;
  int32_t sampling() const;
  bool upsamples_as_pillows() const;
  bool has_coefficients() const;
  Status read_coefficients(const Coefficients& wanted, int16_t* out, int every);

  Columns columns(Box window) const;
  void read_rows(int32_t first_column, const Pixels& out);
};

Status Session::State::fail() {
  codec.close();
  return codec.status;
}

// Whether all coefficients of all components came. libjpeg smooths over what is missing, each release in its own way.
bool Session::State::is_complete() const {
  const jpeg_decompress_struct& libjpeg = codec.libjpeg;
  for (int i = 0; i < libjpeg.num_components; ++i) {
    if (libjpeg.comp_info[i].quant_table == nullptr) return false;
    if (libjpeg.coef_bits == nullptr) continue;
    const int* bits = libjpeg.coef_bits[i];
    if (std::any_of(bits, bits + DCTSIZE2, [](int missing) { return missing != 0; })) return false;
  }
  return true;
}

// Where chroma is halved along columns alone (4:4:0), Ubuntu's libjpeg-turbo 2.1.5 rounds otherwise than the releases in Pillow's
// wheels: 13 % of the values are off by one or two. It is told by its ABI; Debian's 2.1.5 has the older one and is exact.
bool Session::State::upsamples_as_pillows() const {
#if JPEG_LIB_VERSION >= 70
  const jpeg_decompress_struct& libjpeg = codec.libjpeg;
  for (int i = 0; i < libjpeg.num_components; ++i) {
    const jpeg_component_info& component = libjpeg.comp_info[i];
    if (component.h_samp_factor == libjpeg.max_h_samp_factor &&
        2 * component.v_samp_factor == libjpeg.max_v_samp_factor) {
      return false;
    }
  }
#endif
  return true;
}

int32_t Session::State::sampling() const {
  const jpeg_decompress_struct& libjpeg = codec.libjpeg;
  if (libjpeg.num_components == 1) return 0;
  for (int i = 1; i < libjpeg.num_components; ++i) {
    if (libjpeg.comp_info[i].h_samp_factor != 1 || libjpeg.comp_info[i].v_samp_factor != 1) return -1;
  }
  return 10 * libjpeg.comp_info[0].h_samp_factor + libjpeg.comp_info[0].v_samp_factor;
}

Columns Session::State::columns(Box window) const {
  const int32_t image_width = static_cast<int32_t>(codec.libjpeg.image_width);
  const int32_t unit = DCTSIZE * codec.libjpeg.max_h_samp_factor;
  // One column more on each side: the outermost ones are upsampled as if the image ended there.
  const int32_t border = codec.libjpeg.max_h_samp_factor > 1 ? 1 : 0;
  int32_t right = std::min(image_width, window.x + window.width + border);
  const int32_t left = std::max(0, std::min(window.x - border, right - kMinColumns)) / unit * unit;
  right = std::min(image_width, std::max(right, left + kMinColumns));
  return {left, right - left};
}

// Between setjmp and libjpeg, as all that opens.
void Session::State::start(int64_t max_pixels, Header* header) {
  jpeg_decompress_struct& libjpeg = codec.libjpeg;
  header->width = static_cast<int32_t>(libjpeg.image_width);
  header->height = static_cast<int32_t>(libjpeg.image_height);
  if (max_pixels > 0 && static_cast<int64_t>(header->width) * header->height > max_pixels) {
    codec.give_up(Code::too_large, "more pixels than allowed");
  }
  if (!upsamples_as_pillows()) codec.give_up(Code::not_native, "this libjpeg upsamples columns in its own way");
  const int components = libjpeg.num_components;
  header->is_ycc = libjpeg.jpeg_color_space == JCS_GRAYSCALE || libjpeg.jpeg_color_space == JCS_YCbCr;
  header->sampling = sampling();
  libjpeg.out_color_space = components == 4 ? JCS_CMYK : components == 3 ? JCS_EXT_RGBX : JCS_GRAYSCALE;
  jpeg_start_decompress(&libjpeg);  // reads every scan of several, and of one scan nothing but its tables
  header->several_scans = jpeg_has_multiple_scans(&libjpeg) != 0;
}

Status Session::State::open(ByteSpan from, size_t scan, int64_t max_pixels, Header* header) {
  has_codes = false;
  entries = nullptr;
  bytes = from;
  scan_at = scan;
  if (setjmp(codec.failure) != 0) return fail();
  codec.open(bytes);
  start(max_pixels, header);
  if (header->several_scans) {
    if (!is_complete()) codec.give_up(Code::not_native, "the scans leave coefficients out");
    ends_well = true;
  } else {
    const ScanEnd end = find_scan_end(bytes, scan);
    if (end == ScanEnd::marker) codec.give_up(Code::not_native, "a marker stands in the middle of the pixels");
    ends_well = end == ScanEnd::eoi;
    has_codes = ends_well && codec.huffman.can_take_over(codec.libjpeg);
  }
  header->ends_well = ends_well;
  return {};
}

Status Session::State::open(const EntryRecord& from, int64_t max_pixels, Header* header) {
  has_codes = ends_well = false;
  entries = &from;
  bytes = codes = {};
  if (setjmp(codec.failure) != 0) return fail();
  codec.open(from.header());
  start(max_pixels, header);
  const ScanLayout& layout = from.layout();
  const jpeg_decompress_struct& libjpeg = codec.libjpeg;
  has_codes = !header->several_scans && codec.huffman.can_read(libjpeg) &&
              libjpeg.MCUs_per_row == layout.mcus_per_row && libjpeg.MCU_rows_in_scan == layout.mcu_rows &&
              libjpeg.comps_in_scan == layout.components;
  if (!has_codes) codec.give_up(Code::not_native, "the entry points are another image's");
  header->ends_well = ends_well = true;
  return {};
}

// As many rows as `out` has, from libjpeg's next one on, with `first_column` columns before them that nobody wants. One
// row a call: with four it was no faster.
void Session::State::read_rows(int32_t first_column, const Pixels& out) {
  jpeg_decompress_struct& libjpeg = codec.libjpeg;
  const bool is_gray = libjpeg.out_color_space == JCS_GRAYSCALE;
  for (int32_t y = 0; y < out.height; ++y) {
    // required_bytes() counts one row more, for gray bytes.
    JSAMPROW row = out.row(is_gray ? out.height : y) - 4 * static_cast<ptrdiff_t>(first_column);
    jpeg_read_scanlines(&libjpeg, &row, 1);
    if (is_gray) spread_gray(row + first_column, out.row(y), out.width);
  }
}

// Those that libjpeg decodes for a window: where chroma is upsampled smoothly, the lines above and below have their say.
Mcus Session::State::mcus(Columns span, Box window) const {
  const jpeg_decompress_struct& libjpeg = codec.libjpeg;
  const bool is_alone = libjpeg.comps_in_scan == 1;
  const int32_t across = DCTSIZE * (is_alone ? 1 : libjpeg.max_h_samp_factor);
  const int32_t lines = DCTSIZE * libjpeg.max_v_samp_factor;
  const int32_t rows = is_alone ? libjpeg.cur_comp_info[0]->v_samp_factor : 1;  // of MCUs in so many lines
  const int32_t top = std::max(0, window.y - 1) / lines * rows;
  const int32_t bottom = ((window.y + window.height - 1 + libjpeg.max_v_samp_factor) / lines + 1) * rows;
  return {span.x / across, std::min(static_cast<int>(libjpeg.MCUs_per_row), (span.x + span.width + across - 1) / across),
          top, std::min(static_cast<int>(libjpeg.MCU_rows_in_scan), bottom)};
}

Mcus Session::State::mcus(const Coefficients& wanted) const {
  const jpeg_component_info& luminance = codec.libjpeg.comp_info[0];
  const Plane& plane = wanted.planes[0];
  const int left = plane.x / DCTSIZE / luminance.MCU_width, top = plane.y / DCTSIZE / luminance.MCU_height;
  return {left, left + plane.columns / luminance.MCU_width, top, top + plane.rows / luminance.MCU_height};
}

// Their codes, and what lies between them.
Piece Session::State::piece(const Mcus& wanted) const {
  const ScanLayout& layout = entries->layout();
  const size_t from = entries->bit(wanted.top, wanted.left / layout.every) / 8;
  // A zero may belong to the last byte.
  const size_t end = entries->bit(wanted.bottom - 1, (wanted.right - 1) / layout.every + 1) / 8 + size_t{2};
  const size_t until = std::min<size_t>(end, layout.scan_bytes);
  return {layout.scan_at + from, until > from ? until - from : 0};
}

void Session::State::end_notes() {
  noted.layout.scan_at = static_cast<uint32_t>(scan_at);
  try {
    noted.is_there = codec.huffman.note_rest(codec.libjpeg, &noted.layout, &noted.end_bit) &&
                     copy_tables(bytes, scan_at, &noted.header);
  } catch (const std::bad_alloc&) {  // the pixels are there all the same
  }
}

Status Session::State::read_codes(int every) {
  noted.is_there = false;
  if (entries != nullptr || !ends_well || !codec.huffman.can_read(codec.libjpeg)) {
    codec.close();
    return {Code::not_native, "its codes have no entry points"};
  }
  if (setjmp(codec.failure) != 0) return fail();
  if (codec.huffman.note(&codec.libjpeg, every)) end_notes();
  codec.close();
  return noted.is_there ? Status{} : Status{Code::not_native, "its codes are damaged"};
}

Status Session::State::decode(Box window, Pixels* out, int every) {
  noted.is_there = false;
  if (setjmp(codec.failure) != 0) return fail();
  jpeg_decompress_struct& libjpeg = codec.libjpeg;
  codec.transform.take_over(&libjpeg);
  const bool has_notes = every >= 0 && has_codes && entries == nullptr && codec.huffman.note(&libjpeg, every);
  if (has_codes && entries == nullptr && !has_notes) codec.huffman.take_over(&libjpeg);
  const Columns span = columns(window);
  JDIMENSION x = static_cast<JDIMENSION>(span.x), width = static_cast<JDIMENSION>(span.width);
  jpeg_crop_scanline(&libjpeg, &x, &width);
  if (entries != nullptr) {
    const Mcus read = mcus({static_cast<int32_t>(x), static_cast<int32_t>(width)}, window);
    codec.huffman.enter(&libjpeg, *entries, codes, codes_at, read.left, read.right);
  }
  // Once, and from row 0: the one use of it without known faults, which leaves rows exact with no border.
  if (window.y > 0) jpeg_skip_scanlines(&libjpeg, static_cast<JDIMENSION>(window.y));
  const size_t offset = (kRowOffset - reinterpret_cast<uintptr_t>(out->data)) % kRowAlignment;
  const int32_t first_column = window.x - span.x;
  *out = {out->data + offset + 4 * static_cast<ptrdiff_t>(first_column), window.width, window.height, span.stride()};
  read_rows(first_column, *out);
  if (!ends_well && libjpeg.output_scanline < libjpeg.output_height) {
    codec.give_up(Code::not_native, "the end was not looked at");
  }
  if (has_notes) end_notes();
  if (libjpeg.out_color_space == JCS_CMYK) image::cmyk_to_rgbx(*out);
  codec.close();  // not finish: rows below the window are never read
  return {};
}

bool Session::State::has_coefficients() const {
  const jpeg_decompress_struct& libjpeg = codec.libjpeg;
  if (!has_codes) return false;
  if (libjpeg.jpeg_color_space != JCS_GRAYSCALE && libjpeg.jpeg_color_space != JCS_YCbCr) return false;
  const int32_t ratio = sampling();
  if (ratio != 0 && ratio != 11 && ratio != 21 && ratio != 22) return false;
  // libjpeg repeats the samples of narrower ones.
  return ratio < 20 || libjpeg.comp_info[1].downsampled_width > 2;
}

Status Session::State::read_coefficients(const Coefficients& wanted, int16_t* out, int every) {
  noted.is_there = false;
  if (setjmp(codec.failure) != 0) return fail();
  if (entries != nullptr) {
    const Mcus read = mcus(wanted);
    codec.huffman.enter(&codec.libjpeg, *entries, codes, codes_at, read.left, read.right);
  }
  const bool has_notes = every >= 0 && entries == nullptr && codec.huffman.note(&codec.libjpeg, every);
  if (entries == nullptr && !has_notes) codec.huffman.take_over(&codec.libjpeg);
  read_blocks(&codec, wanted, out);
  if (has_notes) end_notes();
  codec.close();  // what lies below the window is never read
  return {};
}

Session::Session() : state_(std::make_unique<State>()) {}

Session::~Session() = default;

Status Session::open(ByteSpan bytes, int64_t max_pixels, Header* header) {
  close();
  every_ = -1;
  Scan scan;
  if (read_segments(bytes, &scan) != Segments::plain) return {Code::not_native, "not a plain 8-bit JPEG"};
  return state_->open(bytes, scan.begin, max_pixels, header);
}

Status Session::decode(Box window, Pixels* out) {
  if (!state_->codec.is_open()) return {Code::damaged, "no image is open"};
  return state_->decode(window, out, every_);
}

Status Session::open(const EntryRecord& entries, int64_t max_pixels, Header* header) {
  close();
  every_ = -1;
  Scan scan;
  const ByteSpan tables = entries.header();
  if (read_segments(tables, &scan) != Segments::plain || scan.begin != tables.size) {
    return {Code::not_native, "the entry points have no header"};
  }
  return state_->open(entries, max_pixels, header);
}

Piece Session::codes(Box window) const { return state_->piece(state_->mcus(state_->columns(window), window)); }

Piece Session::codes(const Coefficients& wanted) const { return state_->piece(state_->mcus(wanted)); }

void Session::give(ByteSpan bytes, size_t at) {
  const ScanLayout& layout = state_->entries->layout();
  const size_t before = at < layout.scan_at ? std::min(layout.scan_at - at, bytes.size) : 0;
  state_->codes = {bytes.data + before, bytes.size - before};
  state_->codes_at = std::max<size_t>(at, layout.scan_at) - layout.scan_at;
  const size_t left = layout.scan_bytes - std::min<size_t>(layout.scan_bytes, state_->codes_at);
  state_->codes.size = std::min(state_->codes.size, left);
}

double Session::codes_below(Box window) const {
  const State& state = *state_;
  if (!state.codec.is_open() || !state.has_codes || state.entries != nullptr) return 1;
  const Mcus read = state.mcus(state.columns(window), window);
  return 1 - static_cast<double>(read.bottom) / state.codec.libjpeg.MCU_rows_in_scan;
}

Status Session::read_codes(int every) {
  if (!state_->codec.is_open()) return {Code::damaged, "no image is open"};
  return state_->read_codes(every);
}

bool Session::take_record(const Origin& origin, std::vector<uint8_t>* out) {
  Noted& noted = state_->noted;
  if (!noted.is_there) return false;
  noted.is_there = false;
  return append_record(origin, noted.layout, state_->codec.huffman.points(), noted.end_bit, noted.header, out);
}

size_t Session::required_bytes(Box window) const {
  const ptrdiff_t rows = static_cast<ptrdiff_t>(window.height) + 1;
  return static_cast<size_t>(kRowAlignment + state_->columns(window).stride() * rows) + kPixelSlack;
}

bool Session::has_coefficients() const { return state_->codec.is_open() && state_->has_coefficients(); }

Coefficients Session::coefficients(Box window) const { return blocks_of(state_->codec.libjpeg, window); }

Status Session::read_coefficients(const Coefficients& wanted, int16_t* out) {
  if (!state_->codec.is_open()) return {Code::damaged, "no image is open"};
  return state_->read_coefficients(wanted, out, every_);
}

void Session::close() { state_->codec.close(); }
void Session::settle() { state_->codec.huffman.settle(); }
void Session::use(Entropy entropy) { state_->codec.huffman.use(entropy); }
void Session::use(image::Simd simd) { state_->codec.transform.use(simd); }

}  // namespace fastload::jpeg
