#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>

#include "bindings.h"
#include "bindings_jpeg.h"
#include "bindings_lock.h"
#include "device/host.h"
#include "device/sources.h"
#include "device/work_builder.h"
#include "engine/slabs.h"
#include "jpeg/decode.h"
#include "recipe/plan.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

using Bytes = py::array_t<uint8_t, py::array::c_style>;

constexpr size_t kAlignment = 64;

struct Free {
  void operator()(uint8_t* memory) const { std::free(memory); }
};

// A batch's block, which lies at a multiple of 16, -> its images, as a GPU would make them: what went wrong with each.
py::array_t<int32_t> make_images(const Bytes& block, uint64_t works_at, uint64_t scratch_bytes, Bytes out) {
  if (out.ndim() != 4 || out.shape(3) != 3 || !out.writeable()) throw py::value_error("out is uint8 [images, height, width, 3]");
  if (reinterpret_cast<uintptr_t>(block.data()) % 16 != 0) throw py::value_error("the block lies at a multiple of 16");
  const auto images = static_cast<size_t>(out.shape(0));
  if (works_at > static_cast<size_t>(block.size()) || images > (static_cast<size_t>(block.size()) - works_at) / sizeof(device::ImageWork)) {
    throw py::value_error("the block has no such works");
  }
  const size_t bytes = (scratch_bytes + kAlignment - 1) / kAlignment * kAlignment;
  const std::unique_ptr<uint8_t, Free> scratch(static_cast<uint8_t*>(std::aligned_alloc(kAlignment, bytes + kAlignment)));
  if (scratch == nullptr) throw std::bad_alloc();
  py::array_t<int32_t> faults(static_cast<py::ssize_t>(images));
  const device::Launch launch = {block.data(), scratch.get(), out.mutable_data(), faults.mutable_data(), works_at,
                                 static_cast<int32_t>(out.shape(2)), static_cast<int32_t>(out.shape(1)), static_cast<int32_t>(images), 1};
  unlocked([&] { device::make_images(launch); });
  return faults;
}

ByteSpan span_of(const py::bytes& data) {
  const std::string_view view = data;
  return {reinterpret_cast<const uint8_t*>(view.data()), view.size()};
}

// One image's work and what it speaks of, for a window without a resize.
class OneWindow {
 public:
  OneWindow(int32_t width, int32_t height, Box window) {
    const bool is_inside = window.x >= 0 && window.y >= 0 && window.width > 0 && window.height > 0 &&
                           window.width <= width - window.x && window.height <= height - window.y;
    recipe::PlanBuilder builder(width, height, &plan_);
    if (is_inside) builder.crop(window);
    if (!is_inside || !builder.finish().ok() || !recipe::two_forms(plan_, forms_)) {
      throw py::value_error("the window must lie inside the image");
    }
  }

  // Where its numbers belong.
  uint8_t* begin(device::WorkBuilder* builder) {
    constexpr size_t kWorks = (sizeof(device::ImageWork) + kAlignment - 1) / kAlignment * kAlignment;
    block_ = aligned(kWorks + builder->block_bytes());
    scratch_ = aligned(builder->scratch_bytes());
    if (block_ == nullptr || scratch_ == nullptr) throw std::bad_alloc();
    auto* const work = reinterpret_cast<device::ImageWork*>(block_.get());
    return builder->write(kWorks, block_.get() + kWorks, 0, &taps_, work);
  }

  py::tuple made() {
    py::array_t<uint8_t> pixels({plan_.height, plan_.width, 3});
    int32_t fault = 0;
    device::make_images({block_.get(), scratch_.get(), pixels.mutable_data(), &fault, 0, plan_.width, plan_.height, 1, 1});
    return py::make_tuple(pixels, fault);
  }

  device::WorkBuilder builder(const jpeg::Coefficients& planes, int32_t sampling) const { return {plan_, forms_, planes, sampling}; }
  Box window() const { return plan_.window; }

 private:
  static std::unique_ptr<uint8_t, Free> aligned(size_t bytes) {
    return std::unique_ptr<uint8_t, Free>(
        static_cast<uint8_t*>(std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment)));
  }

  recipe::Plan plan_;
  recipe::AxisForm forms_[2];
  image::Taps taps_;
  std::unique_ptr<uint8_t, Free> block_, scratch_;
};

// The pixels of a window of a JPEG, of its coefficients, or, with a record, of its codes, and what went wrong; None where it cannot be had
// so.
py::object window_of(const py::bytes& data, const std::tuple<int, int, int, int>& wanted, const std::optional<py::bytes>& record) {
  const auto [x, y, width, height] = wanted;
  const Box box = {x, y, width, height};
  if (record) {
    jpeg::EntryRecord entries;
    jpeg::Frame frame;
    if (!entries.parse(span_of(*record))) throw py::value_error("no record of entry points");
    if (!frame.read(entries)) return py::none();
    OneWindow one(frame.width, frame.height, box);
    device::WorkBuilder builder = one.builder(frame.planes(one.window()), frame.sampling);
    if (!builder.take_codes(entries, frame)) return py::none();
    const jpeg::Piece& piece = builder.piece();
    const ByteSpan bytes = span_of(data);
    if (piece.at > bytes.size || piece.size > bytes.size - piece.at) return py::none();
    std::memcpy(one.begin(&builder), bytes.data + piece.at, piece.size);
    return one.made();
  }
  jpeg::Session session;
  jpeg::Header header;
  require_ok(session.open(span_of(data), 0, &header));
  if (!session.has_coefficients()) return py::none();
  OneWindow one(header.width, header.height, box);
  const jpeg::Coefficients planes = session.coefficients(one.window());
  device::WorkBuilder builder = one.builder(planes, header.sampling);
  builder.take_coefficients(planes);
  require_ok(session.read_coefficients(planes, reinterpret_cast<int16_t*>(one.begin(&builder))));
  return one.made();
}

}  // namespace

void bind_device(py::module_& module) {
  module.def("make_images", &make_images, py::arg("block"), py::arg("works_at"), py::arg("scratch_bytes"), py::arg("out"),
             "What a GPU would make of a batch's windows, on this machine: int32 [images], what went wrong with each.");
  module.def("device_window", &window_of, py::arg("data"), py::arg("window"), py::arg("record") = py::none(),
             "For tests: a window as make_images() makes it, of coefficients or, with a record, of codes: (pixels, what went wrong).");
  module.def(
      "kernel_sources",
      [] {
        py::dict sources;
        for (const device::Source& source : device::sources()) sources[source.name] = source.text;
        return sources;
      },
      "{name: text} of the kernels' sources; the last is the one to compile.");
  module.def(
      "kernel_sizes",
      [] {
        py::dict sizes;
        sizes["codes_shared"] = sizeof(device::CodesShared);
        sizes["codes_room"] = sizeof(int16_t) * device::kRoom;
        sizes["slab"] = engine::Slabs::kSlabBytes;
        return sizes;
      },
      "Bytes: what the threads that read codes share, what each of them has, and each of a batch's blocks but the last.");
}

}  // namespace fastload::bindings
