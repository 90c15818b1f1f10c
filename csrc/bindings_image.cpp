#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "bindings.h"
#include "bindings_image.h"
#include "bindings_names.h"
#include "engine/target.h"
#include "image/colour.h"
#include "image/compact.h"
#include "image/geometry.h"
#include "image/pack.h"
#include "image/recolour.h"
#include "image/resample.h"
#include "image/warp.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

struct NamedSimd {
  const char* name;
  image::Simd simd;
};

constexpr NamedSimd kVariants[] = {
    {"scalar", image::Simd::scalar}, {"avx2", image::Simd::avx2}, {"avx512", image::Simd::avx512}};

image::Resize make_resize(int32_t in_width, int32_t in_height, int32_t out_width, int32_t out_height,
                          image::Filter filter, const Region& region) {
  const Box box =
      region ? Box{(*region)[0], (*region)[1], (*region)[2], (*region)[3]} : Box{0, 0, out_width, out_height};
  if (in_width < 1 || in_height < 1 || box.x < 0 || box.y < 0 || box.width < 1 || box.height < 1 ||
      box.x + box.width > out_width || box.y + box.height > out_height) {
    throw py::value_error("the region must be a part of the output");
  }
  return {in_width, in_height, out_width, out_height, filter, box, {}};
}

py::array_t<uint8_t> resample(const Bytes& array, int32_t out_width, int32_t out_height, image::Filter filter,
                              const Region& region, const std::string& simd) {
  const Image source(array);
  const Pixels& all = source.pixels();
  const image::Resize resize = make_resize(all.width, all.height, out_width, out_height, filter, region);
  // Only what the resize says it needs, with nothing readable around it but the slack.
  const Box need = image::needed_input(resize);
  const Image part(need.width, need.height);
  for (int32_t y = 0; y < need.height; ++y) {
    std::memcpy(part.pixels().row(y), all.row(need.y + y) + 4 * need.x, 4 * static_cast<size_t>(need.width));
  }
  const Image out(resize.region.width, resize.region.height);
  image::Resampler(simd_named(simd)).run(resize, part.pixels(), out.pixels());
  return out.rgb();
}

py::array pack(const Bytes& array, const engine::Target& target, bool hflip, bool vflip, const std::string& simd) {
  const Image source(array);
  const Pixels& pixels = source.pixels();
  std::vector<py::ssize_t> shape = {pixels.height, pixels.width};
  shape.insert(target.layout == image::Layout::chw ? shape.begin() : shape.end(), target.values.channels);
  py::array out(dtype_of(target.values.element), shape);
  image::pack(pixels, target.values, target.layout, hflip, vflip, out.mutable_data(), simd_named(simd));
  return out;
}

py::array_t<uint8_t> pad(const Bytes& array, int32_t left, int32_t top, int32_t right, int32_t bottom,
                         image::PadMode mode, const std::array<uint8_t, 3>& fill) {
  const Image source(array);
  const Image out(source.pixels().width + left + right, source.pixels().height + top + bottom);
  image::pad(source.pixels(), left, top, mode, fill.data(), out.pixels());
  return out.rgb();
}

py::array_t<uint8_t> recolour(const Bytes& array, const image::Recolour& recolour, const Region& region, const std::string& simd) {
  const Image image(array);
  const Pixels& all = image.pixels();
  const Box want = make_resize(all.width, all.height, all.width, all.height, image::Filter::nearest, region).region;
  const Image out(want.width, want.height);
  if (recolour.change == image::Change::sharpness) {
    const Box need = image::sharpening_needs(want, all.width, all.height);
    const Pixels part = {all.row(need.y) + 4 * need.x, need.width, need.height, all.stride};
    image::sharpen(recolour.factor, part, want, all.width, all.height, out.pixels(), simd_named(simd));
    return out.rgb();
  }
  image::recolour(recolour, all, want, simd_named(simd));
  for (int32_t y = 0; y < want.height; ++y) {
    std::memcpy(out.pixels().row(y), all.row(want.y + y) + 4 * want.x, 4 * static_cast<size_t>(want.width));
  }
  return out.rgb();
}

py::array_t<uint8_t> warp(const Bytes& array, const std::vector<double>& by, image::Filter filter, int32_t out_width,
                          int32_t out_height, const std::array<uint8_t, 3>& fill, const Region& region, const std::string& simd) {
  if (by.size() != 6 && by.size() != 8) throw py::value_error("six numbers of an affine map, or eight of a perspective");
  const Image image(array);
  const Pixels& all = image.pixels();
  image::Warp warp;
  warp.is_perspective = by.size() == 8;
  warp.filter = filter;
  std::copy(by.begin(), by.end(), warp.by);
  std::copy(fill.begin(), fill.end(), warp.fill);
  warp.in_width = all.width;
  warp.in_height = all.height;
  warp.out_width = out_width;
  warp.out_height = out_height;
  warp.region = make_resize(all.width, all.height, out_width, out_height, filter, region).region;
  // Only what the warp says it needs.
  const Box need = image::needed_input(warp);
  const Image part(need.width, need.height);
  for (int32_t y = 0; y < need.height; ++y) {
    std::memcpy(part.pixels().row(y), all.row(need.y + y) + 4 * need.x, 4 * static_cast<size_t>(need.width));
  }
  const Image out(warp.region.width, warp.region.height);
  image::warp(warp, part.pixels(), out.pixels(), simd_named(simd));
  return out.rgb();
}

py::array_t<uint8_t> flip(const Bytes& array, bool horizontal, bool vertical) {
  const Image image(array);
  if (horizontal) image::flip_horizontal(image.pixels());
  if (vertical) image::flip_vertical(image.pixels());
  return image.rgb();
}

}  // namespace

image::Simd simd_named(const std::string& name) {
  for (const NamedSimd& variant : kVariants) {
    if (name == variant.name && image::has_simd(variant.simd)) return variant.simd;
  }
  throw py::value_error("this machine has no SIMD variant " + name);
}

void bind_image(py::module_& module) {
  module.def("simd_variants", [] {
    std::vector<std::string> names;
    for (const NamedSimd& variant : kVariants) {
      if (image::has_simd(variant.simd)) names.emplace_back(variant.name);
    }
    return names;
  });
  module.def(
      "needed_input",
      [](int32_t in_width, int32_t in_height, int32_t out_width, int32_t out_height, image::Filter filter,
         const Region& region) {
        const Box box = image::needed_input(make_resize(in_width, in_height, out_width, out_height, filter, region));
        return py::make_tuple(box.x, box.y, box.width, box.height);
      },
      py::arg("in_width"), py::arg("in_height"), py::arg("out_width"), py::arg("out_height"), py::arg("filter"),
      py::arg("region") = py::none());
  module.def("resample", &resample, py::arg("image"), py::arg("out_width"), py::arg("out_height"), py::arg("filter"),
             py::arg("region") = py::none(), py::arg("simd") = "scalar", "Horizontal pass first, then vertical.");
  module.def("pack", &pack, py::arg("image"), py::arg("target"), py::arg("hflip"), py::arg("vflip"),
             py::arg("simd") = "scalar");
  module.def("pad", &pad, py::arg("image"), py::arg("left"), py::arg("top"), py::arg("right"), py::arg("bottom"),
             py::arg("mode"), py::arg("fill"));
  module.def("flip", &flip, py::arg("image"), py::arg("horizontal"), py::arg("vertical"));
  module.def(
      "compact",
      [](const Bytes& array, const std::array<int32_t, 4>& window, const std::string& simd) {
        const Image image(array);
        const int32_t channels = image::channels_of(image.pixels());
        image::Compact compact = {nullptr, image.pixels().width, image.pixels().height, channels};
        std::vector<uint8_t> data(compact.size() + 1);
        image::to_compact(image.pixels(), channels, data.data());
        compact.data = data.data();
        const Box box = {window[0], window[1], window[2], window[3]};
        const Image back(box.width, box.height);
        image::from_compact(compact, box, back.pixels(), simd_named(simd));
        return py::make_tuple(channels, back.rgb());
      },
      py::arg("image"), py::arg("window"), py::arg("simd") = "scalar", "How many channels were kept, and a window of it.");
  module.def(
      "grayscale",
      [](const Bytes& array, const std::string& simd) {
        const Image image(array);
        image::to_grayscale(image.pixels(), simd_named(simd));
        return image.rgb();
      },
      py::arg("image"), py::arg("simd") = "scalar");
  module.def("recolour", &recolour, py::arg("image"), py::arg("recolour"), py::arg("region") = py::none(), py::arg("simd") = "scalar",
             "The region of the image with its colours changed.");
  module.def("warp", &warp, py::arg("image"), py::arg("by"), py::arg("filter"), py::arg("out_width"), py::arg("out_height"),
             py::arg("fill") = std::array<uint8_t, 3>{0, 0, 0}, py::arg("region") = py::none(), py::arg("simd") = "scalar",
             "Pillow's Image.transform: affine by six numbers, a perspective by eight.");
  module.def(
      "cmyk_to_rgb",
      [](const Bytes& array) {
        const Image image(array);
        image::cmyk_to_rgbx(image.pixels());
        return image.rgb();
      },
      py::arg("image"));
}

}  // namespace fastload::bindings
