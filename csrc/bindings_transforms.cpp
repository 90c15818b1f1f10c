#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bindings.h"
#include "bindings_lock.h"
#include "bindings_noise.h"
#include "random/streams.h"
#include "recipe/aug_mix.h"
#include "recipe/plan.h"
#include "recipe/policy.h"
#include "recipe/timm.h"
#include "recipe/warps.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

// See Note [torch.exp] in recipe/draws.h.
float ask_torch_for_exp(float value) {
  return locked([value] {
    try {
      const py::module_ torch = py::module_::import("torch");
      return torch.attr("exp")(torch.attr("tensor")(py::make_tuple(value), py::arg("dtype") = torch.attr("float32")))
          .attr("item")()
          .cast<float>();
    } catch (const py::error_already_set& error) {  // of Python's, so it must go while the lock is held
      throw std::runtime_error(error.what());
    }
  });
}

int ask_torch_for_choice(const std::vector<double>& weights, random::Mt19937* generator) {
  return locked([&] {
    try {
      const py::module_ torch = py::module_::import("torch");
      const py::object own = torch.attr("Generator")("cpu");
      const py::object state = own.attr("get_state")();
      const auto bytes = py::array_t<uint8_t>(state.attr("numpy")());
      generator->export_torch(static_cast<uint8_t*>(const_cast<void*>(static_cast<const void*>(bytes.data()))));
      own.attr("set_state")(state);
      const py::object p = torch.attr("tensor")(weights, py::arg("dtype") = torch.attr("float32"), py::arg("device") = "cpu");
      const int chosen = torch.attr("multinomial")(p, 1, py::arg("generator") = own).attr("item")().cast<int>();
      const auto after = py::array_t<uint8_t>(own.attr("get_state")().attr("numpy")());
      if (!generator->import_torch(after.data(), static_cast<size_t>(after.size()))) throw std::runtime_error("torch's generator");
      return chosen;
    } catch (const py::error_already_set& error) {  // of Python's, so it must go while the lock is held
      throw std::runtime_error(error.what());
    }
  });
}

// See Note [least squares] in recipe/perspective.cpp.
bool ask_torch_for_perspective(const recipe::Corners& corners, int32_t width, int32_t height, float out[8]) {
  return locked([&] {
    try {
      const int32_t right = width - 1;
      const int32_t bottom = height - 1;
      std::vector<std::array<int32_t, 2>> ends;
      for (int i = 0; i < 4; ++i) ends.push_back({corners.x[i], corners.y[i]});
      const std::vector<std::array<int32_t, 2>> starts = {{0, 0}, {right, 0}, {right, bottom}, {0, bottom}};
      const auto numbers = py::module_::import("torchvision.transforms.functional")
                               .attr("_get_perspective_coeffs")(starts, ends)
                               .cast<std::array<float, 8>>();
      std::copy(numbers.begin(), numbers.end(), out);
      return true;
    } catch (const py::error_already_set& error) {
      if (error.matches(PyExc_RuntimeError)) return false;  // of torch: there is no solution
      throw std::runtime_error(error.what());
    }
  });
}

float ask_torch_for_linspace(double end, int32_t steps, int32_t i) {
  return locked([&] {
    try {
      const py::module_ torch = py::module_::import("torch");
      const py::object all = torch.attr("linspace")(0.0, end, steps, py::arg("dtype") = torch.attr("float32"), py::arg("device") = "cpu");
      return all.attr("__getitem__")(i).attr("item")().cast<float>();
    } catch (const py::error_already_set& error) {
      throw std::runtime_error(error.what());
    }
  });
}

void ask_torch_for_mixing(random::Mt19937* generator, double alpha, int32_t chains, std::vector<float>* weights) {
  locked([&] {
    try {
      const py::module_ steps = py::module_::import("fastload.transforms.mixing_steps");
      const py::tuple drawn = steps.attr("weights")(*generator, alpha, chains);
      *weights = drawn[0].cast<std::vector<float>>();
      *generator = drawn[1].cast<random::Mt19937>();
    } catch (const py::error_already_set& error) {
      throw std::runtime_error(error.what());
    }
  });
}

// See Note [noise] in recipe/draw_erasing.cpp.
void ask_torch_for_noise(random::Mt19937* generator, int64_t count) {
  locked([&] {
    try {
      const py::tuple drawn = torch_noise(*generator, static_cast<size_t>(count), {});
      *generator = drawn[1].cast<random::Mt19937>();
    } catch (const py::error_already_set& error) {
      throw std::runtime_error(error.what());
    }
  });
}

void bind_enums(py::module_& module) {
  py::enum_<recipe::Kind>(module, "Kind")
      .value("random_resized_crop", recipe::Kind::random_resized_crop)
      .value("resize", recipe::Kind::resize)
      .value("center_crop", recipe::Kind::center_crop)
      .value("random_crop", recipe::Kind::random_crop)
      .value("random_horizontal_flip", recipe::Kind::random_horizontal_flip)
      .value("random_vertical_flip", recipe::Kind::random_vertical_flip)
      .value("grayscale", recipe::Kind::grayscale)
      .value("random_grayscale", recipe::Kind::random_grayscale)
      .value("pad", recipe::Kind::pad)
      .value("random_recolour", recipe::Kind::random_recolour)
      .value("color_jitter", recipe::Kind::color_jitter)
      .value("photometric_distort", recipe::Kind::photometric_distort)
      .value("permute_channels", recipe::Kind::permute_channels)
      .value("random_rotation", recipe::Kind::random_rotation)
      .value("random_affine", recipe::Kind::random_affine)
      .value("random_perspective", recipe::Kind::random_perspective)
      .value("random_zoom_out", recipe::Kind::random_zoom_out)
      .value("scale_jitter", recipe::Kind::scale_jitter)
      .value("random_shortest_size", recipe::Kind::random_shortest_size)
      .value("random_resize", recipe::Kind::random_resize)
      .value("gaussian_blur", recipe::Kind::gaussian_blur)
      .value("pillow_blur", recipe::Kind::pillow_blur)
      .value("recolour", recipe::Kind::recolour)
      .value("random_erasing", recipe::Kind::random_erasing)
      .value("policy", recipe::Kind::policy)
      .value("aug_mix", recipe::Kind::aug_mix)
      .value("random_apply", recipe::Kind::random_apply)
      .value("random_order", recipe::Kind::random_order)
      .value("random_choice", recipe::Kind::random_choice)
      .value("timm_crop_and_resize", recipe::Kind::timm_crop_and_resize)
      .value("timm_resize_keep_ratio", recipe::Kind::timm_resize_keep_ratio)
      .value("timm_crop_or_pad", recipe::Kind::timm_crop_or_pad)
      .value("timm_augment", recipe::Kind::timm_augment)
      .value("timm_erasing", recipe::Kind::timm_erasing)
      .value("group", recipe::Kind::group);
  py::enum_<image::Change>(module, "Change")
      .value("brightness", image::Change::brightness)
      .value("contrast", image::Change::contrast)
      .value("saturation", image::Change::saturation)
      .value("hue", image::Change::hue)
      .value("sharpness", image::Change::sharpness)
      .value("autocontrast", image::Change::autocontrast)
      .value("equalize", image::Change::equalize)
      .value("solarize", image::Change::solarize)
      .value("posterize", image::Change::posterize)
      .value("brighten_dark", image::Change::brighten_dark)
      .value("channels", image::Change::channels);
  py::enum_<image::Filter>(module, "Filter")
      .value("nearest", image::Filter::nearest)
      .value("box", image::Filter::box)
      .value("bilinear", image::Filter::bilinear)
      .value("hamming", image::Filter::hamming)
      .value("bicubic", image::Filter::bicubic)
      .value("lanczos", image::Filter::lanczos);
  py::enum_<image::PadMode>(module, "PadMode")
      .value("constant", image::PadMode::constant)
      .value("edge", image::PadMode::edge)
      .value("reflect", image::PadMode::reflect)
      .value("symmetric", image::PadMode::symmetric);

  py::enum_<recipe::VerticalFirst>(module, "VerticalFirst")
      .value("never", recipe::VerticalFirst::never)
      .value("very_tall", recipe::VerticalFirst::very_tall)
      .value("much_shorter", recipe::VerticalFirst::much_shorter);
  module.def("vertical_first_of", &recipe::vertical_first_of, py::arg("major"), py::arg("minor"), "Of Pillow of that version.");
}

// The numbers that Python computes too.
void bind_maps(py::module_& module) {
  module.def(
      "affine_map",
      [](const std::array<double, 2>& center, double angle, const std::array<double, 2>& translate, double scale,
         const std::array<double, 2>& shear, bool v2) {
        std::array<double, 6> matrix;
        recipe::inverse_of({angle, {translate[0], translate[1]}, scale, {shear[0], shear[1]}, v2}, center.data(), matrix.data());
        return matrix;
      },
      py::arg("center"), py::arg("angle"), py::arg("translate"), py::arg("scale"), py::arg("shear"),
      py::arg("v2") = false, "The inverse affine matrix of torchvision's transforms, or of its transforms.v2.");
  module.def(
      "rotation",
      [](int32_t width, int32_t height, double angle, bool expand, const std::optional<std::array<double, 2>>& center) {
        recipe::Plan plan;
        recipe::PlanBuilder builder(width, height, &plan);
        recipe::rotate(builder, angle, expand, {image::Filter::nearest, {0, 0, 0}, center ? center->data() : nullptr});
        std::vector<double> matrix;
        if (plan.count == 1 && plan.steps[0].kind == recipe::StepKind::warp) {
          matrix.assign(plan.steps[0].warp.by, plan.steps[0].warp.by + 6);
        }
        return py::make_tuple(plan.width, plan.height, matrix);
      },
      py::arg("width"), py::arg("height"), py::arg("angle"), py::arg("expand") = false, py::arg("center") = py::none(),
      "(width, height, the six numbers) of Pillow's Image.rotate; none of them where it only flips and transposes.");
  module.def(
      "perspective_map",
      [](int32_t width, int32_t height, const std::array<std::array<int32_t, 2>, 4>& ends) -> std::optional<std::array<float, 8>> {
        recipe::Corners corners;
        for (int i = 0; i < 4; ++i) {
          corners.x[i] = ends[i][0];
          corners.y[i] = ends[i][1];
        }
        std::array<float, 8> numbers;
        if (!recipe::perspective(corners, width, height, numbers.data())) return std::nullopt;
        return numbers;
      },
      py::arg("width"), py::arg("height"), py::arg("ends"),
      "The eight numbers of torchvision's perspective, or None where only torch itself is certain of them.");
}

void bind_transform(py::module_& module) {
  using recipe::Transform;
  const auto pair = [](double (Transform::*field)[2]) {
    return [field](Transform& t, const std::array<double, 2>& value) {
      std::memcpy(t.*field, value.data(), sizeof value);
    };
  };
  using image::Recolour;
  py::class_<Recolour>(module, "Recolour", "A change of colour, as Pillow computes it.")
      .def(py::init([](image::Change change, float factor, int32_t level, const std::array<uint8_t, 3>& order) {
             Recolour made = {change, factor, level, {}};
             for (size_t c = 0; c < order.size(); ++c) made.order[c] = order[c] % 3;
             return made;
           }),
           py::arg("change"), py::kw_only(), py::arg("factor") = 1.0f, py::arg("level") = 0,
           py::arg("order") = std::array<uint8_t, 3>{0, 1, 2},
           "`level`: hue's 0 to 255, solarize's first inverted value, posterize's bits that stay; `order`: of channels.")
      .def_readonly("change", &Recolour::change);
  py::class_<Transform>(module, "Transform", "One geometric or grayscale transform with torchvision's parameters.")
      .def(py::init([](recipe::Kind kind) {
             Transform t;
             t.kind = kind;
             return t;
           }),
           py::arg("kind"))
      .def_readonly("kind", &Transform::kind)
      .def_readwrite("v2", &Transform::v2)
      .def_readwrite("height", &Transform::height)
      .def_readwrite("width", &Transform::width)
      .def_readwrite("max_size", &Transform::max_size)
      .def_readwrite("filter", &Transform::filter)
      .def_readwrite("p", &Transform::p)
      .def_readwrite("p_inclusive", &Transform::p_inclusive)
      .def_readwrite("is_gray", &Transform::is_gray)
      .def_readwrite("is_noise", &Transform::is_noise)
      .def_property(
          "aug_mix", [](const Transform& t) { return t.aug_mix; },
          [](Transform& t, std::shared_ptr<recipe::AugMix> aug_mix) { t.aug_mix = std::move(aug_mix); })
      .def_property(
          "policy", [](const Transform& t) { return t.policy; },
          [](Transform& t, std::shared_ptr<recipe::Policy> policy) { t.policy = std::move(policy); })
      .def_readwrite("count", &Transform::count)
      .def_readwrite("weights", &Transform::weights)
      .def_readwrite("longest", &Transform::longest)
      .def_readwrite("by_area", &Transform::by_area)
      .def_readwrite("aspect_p", &Transform::aspect_p)
      .def_readwrite("filters", &Transform::filters)
      .def_readwrite("draws_filter", &Transform::draws_filter)
      .def("set_log_ratio_in_double", pair(&Transform::log_ratio_in_double), py::arg("log_ratio"))
      .def_readwrite("draws_python", &Transform::draws_python)
      .def_readwrite("draws_numpy", &Transform::draws_numpy)
      .def_readwrite("stage", &Transform::stage)
      .def_readwrite("recolour", &Transform::recolour)
      .def_readwrite("blur", &Transform::blur)
      .def(
          "set_range",
          [](Transform& t, size_t which, float least, float most) {
            if (which >= std::size(t.varies)) throw py::index_error("brightness, contrast, saturation, hue");
            t.varies[which] = true;
            t.least[which] = least;
            t.most[which] = most;
          },
          py::arg("which"), py::arg("least"), py::arg("most"), "0 to 3: brightness, contrast, saturation, hue.")
      .def_readwrite("padded", &Transform::padded)
      .def_readwrite("pad_if_needed", &Transform::pad_if_needed)
      .def_readwrite("pad_mode", &Transform::pad_mode)
      .def_readwrite("sizes", &Transform::sizes)
      .def_readwrite("expand", &Transform::expand)
      .def_readwrite("distortion", &Transform::distortion)
      .def(
          "set_center",
          [center = pair(&Transform::center)](Transform& t, const std::array<double, 2>& xy) {
            t.is_centred = false;
            center(t, xy);
          },
          py::arg("xy"))
      .def(
          "set_shares",
          [shares = pair(&Transform::shares)](Transform& t, const std::array<double, 2>& xy) {
            t.moves = true;
            shares(t, xy);
          },
          py::arg("xy"), "How far it moves at most, of the width and the height.")
      .def("set_scale", pair(&Transform::scale), py::arg("scale"))
      .def("set_ratio", pair(&Transform::ratio), py::arg("ratio"))
      .def(
          "set_log_ratio",
          [](Transform& t, float low, float high) {
            t.log_ratio[0] = low;
            t.log_ratio[1] = high;
          },
          py::arg("low"), py::arg("high"))
      .def(
          "set_padding",
          [](Transform& t, const std::array<int32_t, 4>& ltrb) { std::memcpy(t.padding, ltrb.data(), sizeof ltrb); },
          py::arg("ltrb"))
      .def(
          "set_fill",
          [](Transform& t, const std::array<uint8_t, 3>& rgb) { std::memcpy(t.fill, rgb.data(), sizeof rgb); },
          py::arg("rgb"));
}

template <typename Is>
bool any_transform(const recipe::Recipe& made, Is is) {
  return std::any_of(made.transforms.begin(), made.transforms.end(), is);
}

}  // namespace

void bind_transforms(py::module_& module) {
  bind_enums(module);
  bind_transform(module);
  bind_maps(module);
  using recipe::Recipe;
  py::class_<Recipe, std::shared_ptr<Recipe>>(module, "Recipe", "Transforms in order, ready to draw from.")
      .def(py::init(
               [](std::vector<recipe::Transform> transforms, bool fused_uniform, recipe::VerticalFirst vertical_first,
                  std::vector<std::string> stages) {
                 const auto is_unfinished = [](const recipe::Transform& t) {
                   const bool resizes = t.kind == recipe::Kind::timm_crop_and_resize || t.kind == recipe::Kind::timm_resize_keep_ratio;
                   return (resizes && t.filters.empty()) || (t.kind == recipe::Kind::timm_augment && !t.augments);
                 };
                 if (std::any_of(transforms.begin(), transforms.end(), is_unfinished)) throw py::value_error("an unfinished transform");
                 auto made = std::make_shared<Recipe>();
                 made->transforms = std::move(transforms);
                 made->fused_uniform = fused_uniform;
                 made->vertical_first = vertical_first;
                 made->stages = std::move(stages);
                 made->torch_exp = ask_torch_for_exp;
                 made->torch_multinomial = ask_torch_for_choice;
                 made->torch_perspective = ask_torch_for_perspective;
                 made->torch_normal = ask_torch_for_noise;
                 made->torch_linspace = ask_torch_for_linspace;
                 made->torch_mixing = ask_torch_for_mixing;
                 return made;
               }),
           py::arg("transforms"), py::kw_only(), py::arg("fused_uniform"), py::arg("vertical_first"),
           py::arg("stages") = std::vector<std::string>())
      .def_property_readonly(
          "draws",
          [](const Recipe& made) {
            return any_transform(made, [](const auto& t) {
              return t.kind != recipe::Kind::resize && t.kind != recipe::Kind::center_crop &&
                     t.kind != recipe::Kind::grayscale;
            });
          },
          "Whether a sample may cost random numbers.")
      .def_property_readonly(
          "draws_python", [](const Recipe& made) { return any_transform(made, [](const auto& t) { return t.draws_python; }); },
          "Whether some of them are of Python's `random`.")
      .def_property_readonly(
          "draws_numpy", [](const Recipe& made) { return any_transform(made, [](const auto& t) { return t.draws_numpy; }); },
          "Whether some of them are of NumPy's legacy generator.")
      .def(
          "draw",
          [](const Recipe& made, random::Streams& generators, int32_t width, int32_t height) {
            recipe::Plan plan;
            const Status status = recipe::draw(made, generators, width, height, &plan);
            if (!status.ok()) throw py::value_error(status.message);
            const Box& w = plan.window;
            return py::make_tuple(py::make_tuple(w.x, w.y, w.width, w.height), plan.width, plan.height,
                                  plan.flip_horizontal, plan.flip_vertical);
          },
          py::arg("generators"), py::arg("width"), py::arg("height"),
          "(window (x, y, width, height), width, height, trailing flips) for an image of this size.");
}

}  // namespace fastload::bindings
