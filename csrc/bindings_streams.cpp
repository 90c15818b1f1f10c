#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "bindings.h"
#include "bindings_lock.h"
#include "engine/draw_order.h"
#include "random/streams.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

using random::Mt19937;
using random::Streams;

constexpr int kPythonVersion = 3;  // of random.getstate()
using Words = py::array_t<uint32_t, py::array::c_style | py::array::forcecast>;

void set_python(Streams* streams, const py::object& state) {
  const auto parts = state.cast<py::tuple>();
  if (parts.size() != 3 || parts[0].cast<int>() != kPythonVersion) throw py::value_error("not the state of Python's random");
  const auto words = parts[1].cast<std::vector<uint32_t>>();
  if (words.size() != Mt19937::kWords + 1 || words.back() > Mt19937::kWords) {
    throw py::value_error("not the state of Python's random");
  }
  streams->of_python.emplace();
  streams->of_python->words.set_words(words.data(), words.back());
  if (!parts[2].is_none()) streams->of_python->kept = {true, parts[2].cast<double>()};
}

py::object get_python(const Streams& streams) {
  if (!streams.of_python) return py::none();
  const random::PythonState& state = *streams.of_python;
  py::tuple words(Mt19937::kWords + 1);
  for (size_t i = 0; i < Mt19937::kWords; ++i) words[i] = py::int_(state.words.words()[i]);
  words[Mt19937::kWords] = py::int_(state.words.used());
  const py::object kept = state.kept.is_kept ? py::object(py::float_(state.kept.value)) : py::none();
  return py::make_tuple(kPythonVersion, words, kept);
}

void set_numpy(Streams* streams, const py::object& state) {
  const auto whole = state.cast<py::dict>();
  const auto inner = whole["state"].cast<py::dict>();
  const auto words = inner["key"].cast<Words>();
  const auto used = inner["pos"].cast<int64_t>();
  if (whole["bit_generator"].cast<std::string>() != "MT19937" || words.size() != Mt19937::kWords || used < 0 ||
      used > Mt19937::kWords) {
    throw py::value_error("not the state of NumPy's legacy generator");
  }
  streams->of_numpy.emplace();
  streams->of_numpy->words.set_words(words.data(), static_cast<uint32_t>(used));
  streams->of_numpy->kept = {whole["has_gauss"].cast<int>() != 0, whole["gauss"].cast<double>()};
}

py::object get_numpy(const Streams& streams) {
  if (!streams.of_numpy) return py::none();
  const random::NumpyState& state = *streams.of_numpy;
  Words words(Mt19937::kWords);
  std::copy_n(state.words.words(), Mt19937::kWords, words.mutable_data());
  py::dict inner, whole;
  inner["key"] = words;
  inner["pos"] = state.words.used();
  whole["bit_generator"] = "MT19937";
  whole["state"] = inner;
  whole["has_gauss"] = state.kept.is_kept ? 1 : 0;
  whole["gauss"] = state.kept.value;
  return whole;
}

uint32_t positive(uint32_t n) {
  if (n == 0) throw py::value_error("from 1");
  return n;
}

// One draw at a time, as the methods of Python's random and numpy.random that are named so.
template <typename Class>
void bind_draws(Class& streams) {
  streams.def("python_random", [](Streams& s) { return s.python().random(); })
      .def("python_uniform", [](Streams& s, double a, double b) { return s.python().uniform(a, b); }, py::arg("a"), py::arg("b"))
      .def("python_randrange", [](Streams& s, uint32_t n) { return s.python().below(positive(n)); }, py::arg("n"))
      .def("python_gauss", [](Streams& s, double mu, double sigma) { return s.python().gauss(mu, sigma); }, py::arg("mu"), py::arg("sigma"))
      .def("python_choices",
           [](Streams& s, const std::vector<double>& cumulated) {
             if (cumulated.empty()) throw py::value_error("no weights");
             return s.python().choices(cumulated);
           },
           py::arg("cumulated"))
      .def("python_shuffled",
           [](Streams& s, uint8_t count) {
             std::vector<uint8_t> items(count);
             std::iota(items.begin(), items.end(), uint8_t{0});
             s.python().shuffle(items.data(), count);
             return std::vector<int>(items.begin(), items.end());
           },
           py::arg("count"))
      .def("numpy_random_sample", [](Streams& s) { return s.numpy().random_sample(); })
      .def("numpy_randint", [](Streams& s, uint32_t n) { return s.numpy().below(positive(n)); }, py::arg("n"))
      .def("numpy_choice",
           [](Streams& s, const std::vector<double>& p, size_t count) {
             if (count > static_cast<size_t>(std::count_if(p.begin(), p.end(), [](double one) { return one > 0; }))) {
               throw py::value_error("fewer of them are above 0");
             }
             std::vector<int> chosen(count);
             s.numpy().choose_distinct(p, static_cast<int>(count), chosen.data());
             return chosen;
           },
           py::arg("p"), py::arg("count"))
      .def("numpy_dirichlet",
           [](Streams& s, uint8_t count) {
             std::vector<double> weights(count);
             s.numpy().flat_dirichlet(count, weights.data());
             return weights;
           },
           py::arg("count"))
      .def("numpy_beta", [](Streams& s) { return s.numpy().flat_beta(); });
}

}  // namespace

void bind_streams(py::module_& module) {
  py::class_<Streams> streams(module, "Streams", "torch's generator, and beside it Python's and NumPy's where a recipe draws from them.");
  streams
      .def(py::init([](const Mt19937& torch, const py::object& python, const py::object& numpy) {
             Streams made(torch);
             if (!python.is_none()) set_python(&made, python);
             if (!numpy.is_none()) set_numpy(&made, numpy);
             return made;
           }),
           py::arg("torch"), py::kw_only(), py::arg("python") = py::none(), py::arg("numpy") = py::none(),
           "`python`: as random.getstate() gives it; `numpy`: as numpy.random.get_state(legacy=False) does.")
      .def_property_readonly("torch", [](const Streams& s) { return s.torch; }, "A copy.")
      .def_property_readonly("python", &get_python, "For random.setstate(); None: it was not given.")
      .def_property_readonly("numpy", &get_numpy, "For numpy.random.set_state(); None: it was not given.");
  bind_draws(streams);
  py::implicitly_convertible<Mt19937, Streams>();

  py::class_<engine::DrawOrder, std::shared_ptr<engine::DrawOrder>>(
      module, "DrawOrder", "The generators of one emulated worker, drawn from in the order of samples.")
      .def(py::init<random::Streams>(), py::arg("generators"))
      .def(
          "generators",
          [](const engine::DrawOrder& order) { return unlocked([&] { return order.generators_between_turns(); }); },
          "A copy of the generators as they are between two samples.");
}

}  // namespace fastload::bindings
