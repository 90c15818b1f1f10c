#include "bindings_places.h"

#include <pybind11/stl.h>

#include <tuple>
#include <utility>

#include "bindings_names.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

// Fresh memory of this size and more costs most of what it takes to write to it: 190 us for a float32 image of 224 x 224.
constexpr py::ssize_t kLarge = py::ssize_t{1} << 16;

}  // namespace

void Places::begin(size_t sample) {
  sample_ = sample;
  next_ = 0;
}

std::optional<Places::Place> Places::next(size_t nbytes) {
  const size_t sample = one_each_ ? next_++ : sample_;
  const size_t which = one_each_ ? 0 : next_++;
  if (sample >= count_ || nbytes == 0) return std::nullopt;
  if (which == columns_.size() && sample == 0 && which < kMostColumns) {
    columns_.emplace_back();
    const py::object taken = take_(nbytes * count_);
    if (!taken.is_none()) {
      auto [block, address] = taken.cast<std::tuple<py::object, uintptr_t>>();
      columns_.back() = std::make_shared<Column>();
      columns_.back()->block = std::move(block);
      columns_.back()->data = reinterpret_cast<uint8_t*>(address);
      columns_.back()->nbytes = nbytes;
    }
  }
  if (which >= columns_.size() || columns_[which] == nullptr || columns_[which]->nbytes != nbytes) return std::nullopt;
  const std::shared_ptr<Column>& column = columns_[which];
  auto holder = std::make_unique<std::shared_ptr<Column>>(column);
  py::capsule owner(holder.get(), [](void* held) {
    const std::unique_ptr<std::shared_ptr<Column>> of(static_cast<std::shared_ptr<Column>*>(held));
    --(*of)->held;
  });
  holder.release();
  ++column->held;
  return Place{column->data + sample * nbytes, std::move(owner)};
}

std::vector<std::shared_ptr<Column>> Places::columns() const {
  std::vector<std::shared_ptr<Column>> there;
  for (const std::shared_ptr<Column>& column : columns_) {
    if (column != nullptr) there.push_back(column);
  }
  return there;
}

py::array new_array(const engine::Lanes& lanes, const py::dtype& dtype, const std::vector<py::ssize_t>& shape,
                    Places* places) {
  py::ssize_t size = dtype.itemsize();
  for (const py::ssize_t side : shape) size *= side;
  if (size < kLarge) return {dtype, shape};
  if (places != nullptr) {
    const auto place = places->next(static_cast<size_t>(size));
    if (place) return {dtype, shape, {}, place->data, place->owner};
  }
  auto memory = std::make_unique<engine::PooledBytes>(lanes.bytes(), static_cast<size_t>(size));
  const py::capsule owner(memory.get(), [](void* pooled) { delete static_cast<engine::PooledBytes*>(pooled); });
  return {dtype, shape, {}, memory.release()->data(), owner};
}

py::array new_sample(const engine::Lanes& lanes, const recipe::Plan& plan, const engine::Target& target, Places* places) {
  const bool as_batch = target.layout == image::Layout::chw;
  std::vector<py::ssize_t> shape = {plan.height, plan.width};
  shape.insert(as_batch ? shape.begin() : shape.end(), static_cast<py::ssize_t>(target.values.channels));
  return new_array(lanes, dtype_of(target.values.element), shape, as_batch ? places : nullptr);
}

void bind_places(py::module_& module) {
  py::class_<Column, std::shared_ptr<Column>>(module, "Column", "Memory of one array of each sample of a batch.")
      .def_property_readonly("block", [](const Column& column) { return column.block; })
      .def_property_readonly("address", [](const Column& column) { return reinterpret_cast<uintptr_t>(column.data); })
      .def_readonly("nbytes", &Column::nbytes, "Of one array.")
      .def_readonly("held", &Column::held, "Arrays in it that somebody still holds.");
  py::class_<Places, std::shared_ptr<Places>>(module, "Places", "Where the samples of one batch are written.")
      .def(py::init<py::object, size_t>(), py::arg("take"), py::arg("count"),
           "take(nbytes) gives (what owns a block of memory, its address), or None.")
      .def("begin", &Places::begin, py::arg("sample"), "The arrays that come now are this sample's.")
      .def("one_each", &Places::one_each, "From now on each array is the next sample's.")
      .def_property_readonly("columns", &Places::columns);
}

}  // namespace fastload::bindings
