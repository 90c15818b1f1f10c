// bindings_places.h: where the samples of one batch are written: each array in a block, behind that of the sample before it.
//
// What a sample makes first, second, ... lies in the first, second, ... column. All of it with Python's lock.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/lanes.h"
#include "engine/target.h"
#include "recipe/recipe.h"

namespace fastload::bindings {

// The places of one array of each sample.
struct Column {
  pybind11::object block;  // owns the memory
  uint8_t* data = nullptr;
  size_t nbytes = 0;  // of a place
  int64_t held = 0;   // arrays that are still there
};

class Places {
 public:
  // `take(nbytes)` gives a block and its address, or None.
  Places(pybind11::object take, size_t count) : take_(std::move(take)), count_(count) {}

  // The arrays that come now are this sample's.
  void begin(size_t sample);
  // From now on each array is the next sample's.
  void one_each() { one_each_ = true; }

  struct Place {
    void* data;
    pybind11::capsule owner;
  };
  // For an array; nothing: it has no place.
  std::optional<Place> next(size_t nbytes);

  // Those that there are.
  std::vector<std::shared_ptr<Column>> columns() const;

 private:
  static constexpr size_t kMostColumns = 16;

  const pybind11::object take_;
  const size_t count_;
  size_t sample_ = 0;
  size_t next_ = 0;  // of the sample's arrays
  bool one_each_ = false;
  std::vector<std::shared_ptr<Column>> columns_;  // null: there was no block for it
};

void bind_places(pybind11::module_& module);

// Of these sides: in its place, if it has one, else in memory that is used again, if it is large.
pybind11::array new_array(const engine::Lanes& lanes, const pybind11::dtype& dtype,
                          const std::vector<pybind11::ssize_t>& shape, Places* places);

// For a finished sample. Only one whose values lie as those of a batch do has a place there.
pybind11::array new_sample(const engine::Lanes& lanes, const recipe::Plan& plan, const engine::Target& target,
                           Places* places);

}  // namespace fastload::bindings
