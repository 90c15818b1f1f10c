#include "bindings_places.h"

#include <pybind11/stl.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "bindings_names.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

// Fresh memory of this size and more costs most of what it takes to write to it: 190 us for a float32 image of 224 x 224.
constexpr py::ssize_t kLarge = py::ssize_t{1} << 16;

// Of this process.
std::vector<Column*>& all_columns() {
  static auto* const all = new std::vector<Column*>;
  return *all;
}

}  // namespace

Column::Column(py::object block, uint8_t* data, int descriptor, size_t nbytes, size_t count)
    : block_(std::move(block)), data_(data), descriptor_(descriptor), nbytes_(nbytes), is_held_(count) {
  all_columns().push_back(this);
}

Column::~Column() {
  std::vector<Column*>& all = all_columns();
  all.erase(std::find(all.begin(), all.end(), this));
}

void Column::hold(size_t sample) {
  is_held_[sample] = 1;
  ++held_;
}

void Column::let_go(size_t sample) {
  is_held_[sample] = 0;
  --held_;
  if (is_over_) give_back(sample);
}

void Column::end() {
  is_over_ = true;
  for (size_t sample = 0; sample < is_held_.size(); ++sample) {
    // once for all that lie side by side
    if (is_held_[sample] == 0 && (sample == 0 || is_held_[sample - 1] != 0)) give_back(sample);
  }
}

void Column::give_back(size_t sample) const {
  if (held_ == 0 || is_apart_) return;  // the whole block goes, or a child may look at it
#ifdef MADV_REMOVE
  size_t first = sample;
  size_t last = sample + 1;
  while (first > 0 && is_held_[first - 1] == 0) --first;
  while (last < is_held_.size() && is_held_[last] == 0) ++last;
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = (first * nbytes_ + page - 1) / page * page;
  const size_t end = (last * nbytes_ + (last == is_held_.size() ? page - 1 : 0)) / page * page;
  if (begin < end) madvise(data_ + begin, end - begin, MADV_REMOVE);  // if not, it stays until the last array goes
#endif
}

void Column::set_all_apart() {
  for (Column* const column : all_columns()) {
    if (column->is_apart_) continue;
    column->is_apart_ = true;
    const size_t nbytes = column->nbytes_ * column->is_held_.size();
    // Another thread that writes there meanwhile waits for it.
    mmap(column->data_, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, column->descriptor_, 0);
  }
}

Places::~Places() {
  for (const std::shared_ptr<Column>& column : columns()) {
    if (column->held() > 0) column->end();
  }
}

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
      auto [block, address, descriptor] = taken.cast<std::tuple<py::object, uintptr_t, int>>();
      columns_.back() =
          std::make_shared<Column>(std::move(block), reinterpret_cast<uint8_t*>(address), descriptor, nbytes, count_);
    }
  }
  if (which >= columns_.size() || columns_[which] == nullptr || columns_[which]->nbytes() != nbytes) return std::nullopt;
  const std::shared_ptr<Column>& column = columns_[which];
  using Held = std::pair<std::shared_ptr<Column>, size_t>;
  auto holder = std::make_unique<Held>(column, sample);
  py::capsule owner(holder.get(), [](void* held) {
    const std::unique_ptr<Held> of(static_cast<Held*>(held));
    of->first->let_go(of->second);
  });
  holder.release();
  column->hold(sample);
  return Place{column->data() + sample * nbytes, std::move(owner)};
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
      .def_property_readonly("block", &Column::block)
      .def_property_readonly("address", [](const Column& column) { return reinterpret_cast<uintptr_t>(column.data()); })
      .def_property_readonly("nbytes", &Column::nbytes, "Of one array.")
      .def_property_readonly("held", &Column::held, "Arrays in it that somebody still holds.")
      .def_property_readonly("is_apart", &Column::is_apart, "Nobody else sees what is written here: there was a fork.")
      .def_static("set_all_apart", &Column::set_all_apart, "Before a fork: a child gets a copy of all of this process.");
  py::class_<Places, std::shared_ptr<Places>>(module, "Places", "Where the samples of one batch are written.")
      .def(py::init<py::object, size_t>(), py::arg("take"), py::arg("count"),
           "take(nbytes) gives (what owns a block of shared memory, its address, its descriptor), or None.")
      .def("begin", &Places::begin, py::arg("sample"), "The arrays that come now are this sample's.")
      .def("one_each", &Places::one_each, "From now on each array is the next sample's.")
      .def_property_readonly("columns", &Places::columns);
}

}  // namespace fastload::bindings
