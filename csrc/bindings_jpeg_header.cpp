#include "bindings_jpeg_header.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "types.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

// Where the 64 values of a table lie in a DQT segment, row by row.
constexpr uint8_t kZigzag[64] = {0,  1,  5,  6,  14, 15, 27, 28, 2,  4,  7,  13, 16, 26, 29, 42, 3,  8,  12, 17, 25, 30,
                                 41, 43, 9,  11, 18, 24, 31, 40, 44, 53, 10, 19, 23, 32, 39, 45, 52, 54, 20, 22, 33, 38,
                                 46, 51, 55, 60, 21, 34, 37, 47, 50, 56, 59, 61, 35, 36, 48, 49, 57, 58, 62, 63};

// What Pillow's JpegImageFile knows after open, of headers that are made of the usual segments, one behind the other. All else is
// Pillow's to judge.
class HeaderForPillow {
 public:
  explicit HeaderForPillow(std::string_view bytes) : bytes_(bytes) {}

  // False: it is not made of them, or is longer.
  bool read() {
    if (bytes_.substr(0, 3) != "\xff\xd8\xff") return false;
    at_ = 2;
    while (at_ + 4 <= bytes_.size() && byte(at_) == 0xff) {
      const uint8_t marker = byte(at_ + 1);
      const size_t length = word(bytes_, at_ + 2);
      if (length < 2 || at_ + 2 + length > bytes_.size()) return false;
      const std::string_view segment = bytes_.substr(at_ + 4, length - 2);
      at_ += 2 + length;
      if (marker == 0xda) return layers_ != 0;
      if (!take(marker, segment)) return false;
    }
    return false;
  }

  py::tuple parts() const {
    const char* const mode = layers_ == 1 ? "L" : "RGB";
    return py::make_tuple(py::make_tuple(width_, height_), mode, layers_, layer_, quantization_, app_, applist_, icclist_,
                          info_, exif_offset_, at_);
  }

 private:
  static uint8_t byte(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }
  static size_t word(std::string_view bytes, size_t at) {
    return static_cast<size_t>(byte(bytes, at)) << 8 | byte(bytes, at + 1);
  }
  uint8_t byte(size_t at) const { return byte(bytes_, at); }
  static bool starts(std::string_view segment, std::string_view with) { return segment.substr(0, with.size()) == with; }
  static py::bytes as_bytes(std::string_view segment) { return {segment.data(), segment.size()}; }

  bool take(uint8_t marker, std::string_view segment) {
    switch (marker) {
      case 0xc0:
      case 0xc1:
      case 0xc2: return take_frame(marker, segment);
      case 0xc4:
      case 0xdd: return true;
      case 0xdb: return take_tables(segment);
      case 0xfe: {
        const py::bytes comment = as_bytes(segment);
        info_["comment"] = comment;
        append("COM", comment);
        return true;
      }
      default: return marker >= 0xe0 && marker <= 0xef && take_application(marker, segment);
    }
  }

  bool take_application(uint8_t marker, std::string_view segment) {
    const py::bytes bytes = as_bytes(segment);
    append(("APP" + std::to_string(marker & 15)).c_str(), bytes);
    if (marker == 0xe0 && starts(segment, "JFIF")) {
      if (segment.size() < 12) return false;
      const size_t version = word(segment, 5), across = word(segment, 8), down = word(segment, 10);
      const uint8_t unit = byte(segment, 7);
      info_["jfif"] = version;
      info_["jfif_version"] = py::make_tuple(version / 256, version % 256);
      if (unit == 2) return false;  // of centimetres Pillow's releases make different inches
      if (unit == 1) info_["dpi"] = py::make_tuple(across, down);
      info_["jfif_unit"] = unit;
      info_["jfif_density"] = py::make_tuple(across, down);
    } else if (marker == 0xe1 && starts(segment, {"Exif\0\0", 6})) {
      if (info_.contains("exif")) return false;
      info_["exif"] = bytes;
      exif_offset_ = at_ - segment.size() + 6;
    } else if (marker == 0xe1 && starts(segment, "http://ns.adobe.com/xap/1.0/")) {
      return false;
    } else if (marker == 0xe2 && starts(segment, {"ICC_PROFILE\0", 12})) {
      if (!icclist_.empty() || segment.size() < 14) return false;
      icclist_.append(bytes);
      profile_ = segment;
    } else if (marker == 0xe2 && (starts(segment, "FPXR") || starts(segment, "MPF"))) {
      return false;
    } else if (marker == 0xed && starts(segment, "Photoshop")) {
      return false;
    } else if (marker == 0xee && starts(segment, "Adobe")) {
      if (segment.size() < 12) return false;
      info_["adobe"] = word(segment, 5);
      info_["adobe_transform"] = byte(segment, 11);
    }
    return true;
  }

  bool take_frame(uint8_t marker, std::string_view segment) {
    if (layers_ != 0 || segment.size() < 6 || byte(segment, 0) != 8) return false;
    layers_ = byte(segment, 5);
    height_ = word(segment, 1);
    width_ = word(segment, 3);
    if ((layers_ != 1 && layers_ != 3) || width_ == 0 || height_ == 0 || segment.size() != 6 + 3 * size_t{layers_}) return false;
    if (marker == 0xc2) {
      info_["progressive"] = 1;
      info_["progression"] = 1;
    }
    if (!icclist_.empty()) {
      info_["icc_profile"] = byte(profile_, 13) == 1 ? py::object(as_bytes(profile_.substr(14))) : py::none();
      icclist_ = py::list();
    }
    for (size_t i = 6; i < segment.size(); i += 3) {
      layer_.append(py::make_tuple(byte(segment, i), byte(segment, i + 1) / 16, byte(segment, i + 1) & 15, byte(segment, i + 2)));
    }
    return true;
  }

  bool take_tables(std::string_view segment) {
    while (!segment.empty()) {
      const uint8_t which = byte(segment, 0);
      const size_t size = which < 16 ? 1 : 2;
      if (segment.size() < 1 + 64 * size) return false;
      py::list table(64);
      for (size_t i = 0; i < 64; ++i) {
        const size_t from = kZigzag[i];
        table[i] = size == 1 ? size_t{byte(segment, 1 + from)} : word(segment, 1 + 2 * from);
      }
      quantization_[py::int_(which & 15)] = table;
      segment.remove_prefix(1 + 64 * size);
    }
    return true;
  }

  void append(const char* name, const py::bytes& bytes) {
    const py::str key(name);
    app_[key] = bytes;
    applist_.append(py::make_tuple(key, bytes));
  }

  const std::string_view bytes_;
  size_t at_ = 0;
  size_t width_ = 0, height_ = 0;
  uint8_t layers_ = 0;
  size_t exif_offset_ = 0;
  std::string_view profile_;
  py::list layer_, applist_, icclist_;
  py::dict quantization_, app_, info_;
};

}  // namespace

void bind_jpeg_header(py::module_& module) {
  module.def(
      "jpeg_header_for_pillow",
      [](const py::bytes& beginning) -> py::object {
        HeaderForPillow header{std::string_view(beginning)};
        if (!header.read()) return py::none();
        return header.parts();
      },
      py::arg("beginning"),
      "Of the first bytes of a JPEG: size, mode, layers, layer, quantization, app, applist, icclist, info, where its EXIF data begin, "
      "where the first scan does. None: Pillow is to be asked.");
}

}  // namespace fastload::bindings
