#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "bindings.h"
#include "bindings_image.h"
#include "bindings_jpeg.h"
#include "bindings_lock.h"
#include "bindings_names.h"
#include "jpeg/decode.h"
#include "jpeg/sequential.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

constexpr uint8_t kCanary = 0xA5;

struct NamedEntropy {
  const char* name;
  jpeg::Entropy entropy;
};
constexpr NamedEntropy kEntropies[] = {
    {"libjpeg", jpeg::Entropy::libjpeg}, {"portable", jpeg::Entropy::portable}, {"bmi2", jpeg::Entropy::bmi2}};

jpeg::Entropy entropy_of(const std::optional<std::string>& name) {
  if (!name) return jpeg::best_entropy();
  for (const NamedEntropy& one : kEntropies) {
    if (*name == one.name && jpeg::has_entropy(one.entropy)) return one.entropy;
  }
  throw py::value_error("this processor has no entropy decoder " + *name);
}

ByteSpan span_of(const py::bytes& data) {
  const std::string_view view = data;
  return {reinterpret_cast<const uint8_t*>(view.data()), view.size()};
}

// One for all calls, as an engine's thread has: what an image leaves behind would show in the next.
jpeg::Session& session_of_thread() {
  thread_local jpeg::Session session;
  return session;
}

std::tuple<int, int, bool> header(const py::bytes& data, int64_t max_pixels) {
  jpeg::Session& session = session_of_thread();
  jpeg::Header header;
  require_ok(session.open(span_of(data), max_pixels, &header));
  session.close();
  return {header.width, header.height, header.ends_well};
}

using Window = std::optional<std::tuple<int, int, int, int>>;

Box box_of(const Window& window, const jpeg::Header& header) {
  Box box = {0, 0, header.width, header.height};
  if (!window) return box;
  std::tie(box.x, box.y, box.width, box.height) = *window;
  if (box.x < 0 || box.y < 0 || box.width < 1 || box.height < 1 || box.width > header.width - box.x ||
      box.height > header.height - box.y) {
    throw py::value_error("the window must lie inside the image");
  }
  return box;
}

py::array_t<uint8_t> pixels_of(jpeg::Session* session, const Box& box) {
  const size_t room = session->required_bytes(box);
  std::vector<uint8_t> bytes(room + kPixelSlack, kCanary);
  Pixels pixels;
  pixels.data = bytes.data();
  require_ok(session->decode(box, &pixels));
  for (size_t i = room; i < bytes.size(); ++i) {
    if (bytes[i] != kCanary) throw std::runtime_error("decode() wrote behind required_bytes()");
  }
  py::array_t<uint8_t> rgb({pixels.height, pixels.width, 3});
  uint8_t* to = rgb.mutable_data();
  for (int32_t y = 0; y < pixels.height; ++y) {
    const uint8_t* from = pixels.row(y);
    for (int32_t x = 0; x < pixels.width; ++x, from += 4, to += 3) std::memcpy(to, from, 3);
  }
  return rgb;
}

py::array_t<uint8_t> decode(const py::bytes& data, const Window& window, int64_t max_pixels,
                            const std::optional<std::string>& entropy, const std::optional<std::string>& simd) {
  jpeg::Session& session = session_of_thread();
  session.use(entropy_of(entropy));
  session.use(simd ? simd_named(*simd) : image::best_simd());
  jpeg::Header header;
  require_ok(session.open(span_of(data), max_pixels, &header));
  return pixels_of(&session, box_of(window, header));
}

// (int16 numbers, [(x, y, columns, rows, width, height) of each plane]), or None where there are none to be had.
// With a record they are read by its entry points.
py::object coefficients(const py::bytes& data, const Window& window, const std::optional<py::bytes>& record) {
  jpeg::Session& session = session_of_thread();
  session.use(jpeg::best_entropy());
  jpeg::Header header;
  jpeg::EntryRecord entries;
  if (record && !entries.parse(span_of(*record))) throw py::value_error("no record of entry points");
  require_ok(record ? session.open(entries, 0, &header) : session.open(span_of(data), 0, &header));
  if (!session.has_coefficients()) return py::none();
  const jpeg::Coefficients wanted = session.coefficients(box_of(window, header));
  if (record) session.give(span_of(data), 0);
  constexpr int16_t kUntouched = 0x5A5A;
  std::vector<int16_t> numbers(wanted.size() + 1, kUntouched);
  require_ok(session.read_coefficients(wanted, numbers.data()));
  if (numbers.back() != kUntouched) throw std::runtime_error("read_coefficients() wrote behind size()");
  py::list planes;
  for (int i = 0; i < wanted.count; ++i) {
    const jpeg::Plane& plane = wanted.planes[i];
    planes.append(py::make_tuple(plane.x, plane.y, plane.columns, plane.rows, plane.width, plane.height));
  }
  return py::make_tuple(py::array_t<int16_t>(static_cast<py::ssize_t>(wanted.size()), numbers.data()), planes);
}

// The record of a JPEG's entry points, or None where there can be none.
py::object entries_of(const py::bytes& data, int every, const std::optional<std::string>& entropy) {
  jpeg::Session& session = session_of_thread();
  session.use(entropy_of(entropy));
  jpeg::Header header;
  require_ok(session.open(span_of(data), 0, &header));
  std::vector<uint8_t> record;
  if (!session.read_codes(every).ok() || !session.take_record({}, &record)) return py::none();
  return py::bytes(reinterpret_cast<const char*>(record.data()), record.size());
}

// The pixels of a window by a record, of no more bytes of the image than these take.
std::tuple<py::array_t<uint8_t>, size_t> decode_entered(const py::bytes& data, const py::bytes& record, const Window& window,
                                                        const std::optional<std::string>& entropy,
                                                        const std::optional<std::string>& simd) {
  jpeg::Session& session = session_of_thread();
  session.use(entropy_of(entropy));
  session.use(simd ? simd_named(*simd) : image::best_simd());
  jpeg::EntryRecord entries;
  if (!entries.parse(span_of(record))) throw py::value_error("no record of entry points");
  jpeg::Header header;
  require_ok(session.open(entries, 0, &header));
  const Box box = box_of(window, header);
  const jpeg::Piece piece = session.codes(box);
  const ByteSpan all = span_of(data);
  const size_t at = std::min(piece.at, all.size), size = std::min(piece.size, all.size - at);
  const std::vector<uint8_t> codes(all.data + at, all.data + at + size);
  session.give({codes.data(), codes.size()}, piece.at);
  return {pixels_of(&session, box), size};
}

// (width, height, K, MCUs a row, rows of MCUs, scan's offset, its bytes, the bit behind the last, [(bit, DC a component)])
py::object entry_points(const py::bytes& record) {
  jpeg::EntryRecord entries;
  if (!entries.parse(span_of(record))) throw py::value_error("no record of entry points");
  const jpeg::ScanLayout& layout = entries.layout();
  py::list points;
  for (int row = 0; row < layout.mcu_rows; ++row) {
    for (int number = 0; number < layout.per_row(); ++number) {
      const jpeg::EntryPoint point = entries.point(row, number);
      points.append(py::make_tuple(point.bit, std::vector<int>(point.dc, point.dc + layout.components)));
    }
  }
  return py::make_tuple(layout.width, layout.height, layout.every, layout.mcus_per_row, layout.mcu_rows, layout.scan_at,
                        layout.scan_bytes, entries.bit(layout.mcu_rows - 1, layout.per_row()), points);
}

// (bytes, whether it was sequential before), or None where there is none to be had.
py::object sequential(const py::buffer& data, int64_t max_pixels) {
  const py::buffer_info buffer = data.request();
  const ByteSpan bytes = {static_cast<const uint8_t*>(buffer.ptr), static_cast<size_t>(buffer.size * buffer.itemsize)};
  std::vector<uint8_t> to(2 * bytes.size + 65536);
  const jpeg::Written written =
      unlocked([&] { return jpeg::write_sequential(bytes, max_pixels, to.data(), to.size()); });
  if (written.code != Code::ok) return py::none();
  return py::make_tuple(py::bytes(reinterpret_cast<const char*>(to.data()), written.size), written.was_sequential);
}

}  // namespace

void require_ok(const Status& status) {
  if (status.ok()) return;
  const py::object error = py::module_::import("fastload._core").attr("JpegError");
  PyErr_SetObject(error.ptr(), py::make_tuple(code_name(status.code), status.message).ptr());
  throw py::error_already_set();
}

void bind_jpeg(py::module_& module) {
  py::exception<void> error(module, "JpegError");
  error.doc() = "args: (name of the code, message)";
  module.def("jpeg_header", &header, py::arg("data"), py::arg("max_pixels") = 0,
             "(width, height, ends_well) of a JPEG in memory.");
  module.def("libjpeg_version", &jpeg::libjpeg_version);
  module.def("jpeg_entropies", [] {
    py::list names;
    for (const NamedEntropy& one : kEntropies) {
      if (jpeg::has_entropy(one.entropy)) names.append(one.name);
    }
    return names;
  });
  module.def("jpeg_decode", &decode, py::arg("data"), py::arg("window") = py::none(), py::arg("max_pixels") = 0,
             py::arg("entropy") = py::none(), py::arg("simd") = py::none(),
             "uint8 [height, width, 3] of a JPEG in memory, or of a window (x, y, width, height) of it.");
  module.def("jpeg_entries", &entries_of, py::arg("data"), py::arg("every"), py::arg("entropy") = py::none(),
             "The record of entry points before every K-th MCU (0: one a row) of a JPEG, or None.");
  module.def("jpeg_decode_entered", &decode_entered, py::arg("data"), py::arg("record"), py::arg("window") = py::none(),
             py::arg("entropy") = py::none(), py::arg("simd") = py::none(),
             "(what jpeg_decode gives, how many of the bytes were looked at).");
  module.def("jpeg_entry_points", &entry_points, py::arg("record"),
             "(width, height, K, MCUs a row, rows of MCUs, scan's offset and bytes, its last bit, [(bit, DC values)]).");
  module.def("jpeg_sequential", &sequential, py::arg("data"), py::arg("max_pixels"),
             "(bytes, whether it was so before): a JPEG of the same coefficients in one scan, or None.");
  module.def("jpeg_coefficients", &coefficients, py::arg("data"), py::arg("window") = py::none(),
             py::arg("record") = py::none(), "(numbers, planes): the coefficients that a window (x, y, width, height) of a JPEG depends on, or None.");
}

}  // namespace fastload::bindings
