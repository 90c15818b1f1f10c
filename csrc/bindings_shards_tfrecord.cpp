#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings.h"
#include "bindings_lock.h"
#include "bindings_shards.h"
#include "io/crc32c.h"
#include "shards/example.h"
#include "shards/protobuf.h"
#include "shards/tfrecord_scan.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

py::tuple text_of(const shards::TextRuns& column) {
  return py::make_tuple(array_of(column.starts), array_of(column.text));
}

py::dict scan(const py::object& source, int64_t size, const std::string& image, const std::string& label,
              const std::string& name, const std::string& class_name, bool checks_data, bool sums_images, bool goes_on) {
  const shards::TfrecordQuestion question{image, label, name, class_name, checks_data, sums_images, goes_on};
  ShardReader reader(source);
  const shards::TfrecordColumns columns =
      unlocked([&] { return shards::scan_tfrecord(reader.read_at(), size, question); });
  reader.raise_if_failed();
  py::dict found;
  if (!columns.error.empty())
    found["error"] = py::make_tuple(py::bytes(columns.error), columns.records, columns.error_offset);
  py::list bad;
  for (const shards::BadRecord& one : columns.bad)
    bad.append(py::make_tuple(one.record, one.offset, one.row, py::bytes(one.why)));
  found["bad"] = bad;
  found["records"] = columns.records;
  py::dict classes;
  for (const auto& [number, text] : columns.classes) classes[py::int_(number)] = py::bytes(text);
  found["offset"] = array_of(columns.offset);
  found["length"] = array_of(columns.length);
  found["crc32c"] = array_of(columns.crc32c);
  found["names"] = text_of(columns.names);
  found["labels"] = py::make_tuple(array_of(columns.label_starts), array_of(columns.labels));
  found["label_texts"] = text_of(columns.label_texts);
  found["has_label_text"] = array_of(columns.has_label_text);
  found["classes"] = columns.is_one_name_a_class ? py::object(std::move(classes)) : py::none();
  return found;
}

// Every feature of one record, by its name.
py::dict features_of(const py::buffer& example) {
  const py::buffer_info info = example.request();
  if (info.ndim != 1 || info.itemsize != 1) throw py::value_error("an example is a flat run of bytes");
  const ByteSpan bytes{static_cast<const uint8_t*>(info.ptr), static_cast<size_t>(info.size)};
  std::deque<std::pair<std::string, shards::Feature>> features;  // which stay where they are
  const auto place = [&](std::string_view name) { return &features.emplace_back(name, shards::Feature()).second; };
  if (!shards::read_example(bytes, place).is_intact) throw py::value_error("no tf.train.Example, or a damaged one");
  py::dict found;
  for (const auto& [name, feature] : features) {
    py::list values;
    for (const ByteSpan value : feature.bytes)
      values.append(py::bytes(reinterpret_cast<const char*>(value.data), value.size));
    for (const float value : feature.floats) values.append(value);
    for (const int64_t value : feature.ints) values.append(value);
    found[py::bytes(name)] = values;
  }
  return found;
}

// (number, value of a number | (begin, end) of bytes) of each field.
py::list fields_of(const py::buffer& message) {
  const py::buffer_info info = message.request();
  if (info.ndim != 1 || info.itemsize != 1) throw py::value_error("a message is a flat run of bytes");
  const auto* const data = static_cast<const uint8_t*>(info.ptr);
  shards::Fields fields({data, static_cast<size_t>(info.size)});
  shards::Field field;
  py::list found;
  while (fields.next(&field)) {
    const int64_t begin = field.wire == shards::Wire::bytes ? field.bytes.data - data : 0;
    const py::object value = field.wire == shards::Wire::bytes
                                 ? py::object(py::make_tuple(begin, begin + static_cast<int64_t>(field.bytes.size)))
                                 : py::object(py::int_(field.value));
    found.append(py::make_tuple(field.number, value));
  }
  if (fields.is_damaged()) throw py::value_error("no protobuf message, or a damaged one");
  return found;
}

uint32_t crc32c_of(const py::buffer& buffer, uint32_t before, const std::string& variant) {
  const py::buffer_info info = buffer.request();
  const ByteSpan bytes{static_cast<const uint8_t*>(info.ptr), static_cast<size_t>(info.size * info.itemsize)};
  if (variant.empty()) return unlocked([&] { return io::crc32c(bytes, before); });
  const auto chosen = variant == "table" ? io::Crc32c::table : io::Crc32c::sse42;
  if (!io::has_crc32c(chosen)) throw py::value_error("this processor has no such variant");
  return io::crc32c(bytes, before, chosen);
}

}  // namespace

void bind_shards_tfrecord(py::module_& module) {
  module.def("crc32c", &crc32c_of, py::arg("data"), py::arg("before") = 0, py::arg("variant") = "",
             "CRC-32C of bytes that come after others; variant: table, sse42, or the fastest there is");
  module.def("example_features", &features_of, py::arg("example"),
             "the features of one tf.train.Example: their names, and lists of their values");
  module.def("protobuf_fields", &fields_of, py::arg("message"),
             "the fields of a protobuf message: (number, value), or (number, (begin, end)) of bytes");
  module.def("scan_tfrecord", &scan, py::arg("source"), py::arg("size"), py::arg("image"), py::arg("label"), py::arg("name"),
             py::arg("class_name"), py::arg("checks_data"), py::arg("sums_images"),
             py::arg("goes_on") = false,
             "columns of a TFRecord file of `size` bytes: its path, or what gives bytes by (offset, length); with 'error': (what, "
             "record, offset) where it ended early, and 'bad': (record, offset, row or -1, why) of those that it went past");
}

}  // namespace fastload::bindings
