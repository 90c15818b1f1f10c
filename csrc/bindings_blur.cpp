#include "bindings_blur.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings.h"
#include "bindings_image.h"
#include "bindings_lock.h"
#include "image/box_blur.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

// `make` gives the arguments of the module's function, `take` is given what that returns; both with Python's lock.
template <typename MakeFn, typename TakeFn>
void ask(const char* function, MakeFn make, TakeFn take) {
  locked([&] {
    try {
      const py::object asked = py::module_::import("fastload.transforms.torch_blur").attr(function);
      const py::object given = call(asked, make());
      if (!given) throw py::error_already_set();
      take(given);
    } catch (const py::error_already_set& error) {  // of Python's, so it must go while the lock is held
      throw std::runtime_error(error.what());
    }
  });
}

void kernel(const image::GaussianBlur& blur, float* weights) {
  ask(
      "kernel", [&] { return py::make_tuple(blur.width, blur.height, blur.sigma, blur.v2); },
      [&](const py::object& given) {
        const auto array = given.cast<Floats>();
        if (array.size() != static_cast<py::ssize_t>(blur.width) * blur.height) throw std::runtime_error("a kernel of another size");
        std::memcpy(weights, array.data(), static_cast<size_t>(array.nbytes()));
      });
}

void blur(const image::GaussianBlur& blur, const Pixels& pixels, const Pixels& out) {
  ask(
      "blurred", [&] { return py::make_tuple(rgb_of(pixels), blur.width, blur.height, blur.sigma, blur.v2, blur.is_gray); },
      [&](const py::object& given) {
        const auto array = given.cast<Bytes>();
        if (array.size() != 3 * static_cast<py::ssize_t>(out.width) * out.height) throw std::runtime_error("an image of another size");
        fill(out, array.data(), 3);
      });
}

}  // namespace

const image::TorchBlur kTorchBlur = {kernel, blur};

void bind_blur(py::module_& module) {
  using image::GaussianBlur;
  py::class_<GaussianBlur>(module, "GaussianBlur", "torchvision's blur; `size` is (width, height) of its kernel.")
      .def(py::init([](const std::array<int32_t, 2>& size, float sigma, bool v2, bool is_gray, bool in_order) {
             for (const int32_t side : size) {
               if (side < 1 || side % 2 == 0 || side > GaussianBlur::kMost) throw py::value_error("a kernel's sides are odd and up to 127");
             }
             return GaussianBlur{size[0], size[1], sigma, v2, is_gray, in_order, &kTorchBlur};
           }),
           py::arg("size"), py::kw_only(), py::arg("sigma") = 1.0f, py::arg("v2") = false, py::arg("is_gray") = false,
           py::arg("in_order") = false)
      .def_readonly("in_order", &GaussianBlur::in_order, "Whether torch's sums are known to be fused multiply-adds, row by row.");
  module.def(
      "gaussian_blur",
      [](const Bytes& array, const GaussianBlur& blur, const Region& region, const std::string& simd) {
        const Image image(array);
        const Pixels& all = image.pixels();
        const Box want = region_of(all, region);
        if (all.width <= blur.width / 2 || all.height <= blur.height / 2) throw py::value_error("the image is too small");
        const Image out(want.width, want.height);
        Buffer scratch;
        const Box need = image::blur_needs(blur, want, all.width, all.height);
        const Pixels part = {all.row(need.y) + 4 * need.x, need.width, need.height, all.stride};
        const int64_t doubts =
            image::gaussian_blur(blur, part, want, all.width, all.height, out.pixels(), &scratch, simd_named(simd));
        return py::make_tuple(rgb_of(out.pixels()), doubts);
      },
      py::arg("image"), py::arg("blur"), py::arg("region") = py::none(), py::arg("simd") = "scalar",
      "The region of the blurred image, and how many of its pixels were doubtful.");
  module.def(
      "sums_in_order",
      [](const Floats& values, const Floats& weights) {
        const py::ssize_t height = values.shape(0) - weights.shape(0) + 1;
        const py::ssize_t width = values.shape(1) - weights.shape(1) + 1;
        if (height < 1 || width < 1) throw py::value_error("more weights than values");
        py::array_t<float> sums({height, width});
        for (py::ssize_t y = 0; y < height; ++y) {
          for (py::ssize_t x = 0; x < width; ++x) {
            float sum = 0;
            for (py::ssize_t i = 0; i < weights.shape(0); ++i) {
              for (py::ssize_t j = 0; j < weights.shape(1); ++j) sum = std::fma(values.at(y + i, x + j), weights.at(i, j), sum);
            }
            sums.mutable_at(y, x) = sum;
          }
        }
        return sums;
      },
      py::arg("values"), py::arg("weights"), "A convolution in two dimensions: fused multiply-adds, row by row.");
  module.def(
      "box_blur",
      [](const Bytes& array, float x, float y, const Region& region, const std::string& simd) {
        const Image image(array);
        const Pixels& all = image.pixels();
        const Box want = region_of(all, region);
        const image::BoxBlur blur = {x, y};
        const Box need = image::box_blur_needs(blur, want, all.width, all.height);
        const Pixels part = {all.row(need.y) + 4 * need.x, need.width, need.height, all.stride};
        Buffer scratch;
        image::box_blur(blur, part, &scratch, simd_named(simd));
        const Pixels wanted = {all.row(want.y) + 4 * want.x, want.width, want.height, all.stride};
        return rgb_of(wanted);
      },
      py::arg("image"), py::arg("x"), py::arg("y"), py::arg("region") = py::none(), py::arg("simd") = "scalar",
      "The region of what Pillow's GaussianBlur((x, y)) makes of the image.");
}

}  // namespace fastload::bindings
