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

// The places of one array of each sample: a mapping of shared memory, from the start of a page on. All of it with Python's lock.
class Column {
 public:
  // `descriptor` is of the memory, and stays open as long as `block`.
  Column(pybind11::object block, uint8_t* data, int descriptor, size_t nbytes, size_t count);
  ~Column();
  Column(const Column&) = delete;
  Column& operator=(const Column&) = delete;

  const pybind11::object& block() const { return block_; }
  uint8_t* data() const { return data_; }
  size_t nbytes() const { return nbytes_; }  // of a place
  // Arrays that are still there.
  int64_t held() const { return held_; }
  // Whether a process forked from this one has a copy: nobody else sees from then on what is written here.
  bool is_apart() const { return is_apart_; }

  void hold(size_t sample);
  void let_go(size_t sample);
  // There will be no batch here: where no array is held, the memory goes back to the system, now and later.
  void end();

  // Before a fork: what is in the columns of this process is from now on a copy of its own, and a child gets one, too.
  static void set_all_apart();

 private:
  // Of the places around one that nobody holds.
  void give_back(size_t sample) const;

  const pybind11::object block_;  // owns the memory
  uint8_t* const data_;
  const int descriptor_;
  const size_t nbytes_;
  std::vector<uint8_t> is_held_;
  int64_t held_ = 0;
  bool is_over_ = false;
  bool is_apart_ = false;
};

class Places {
 public:
  // `take(nbytes)` gives a block, its address and its descriptor, or None.
  Places(pybind11::object take, size_t count) : take_(std::move(take)), count_(count) {}
  ~Places();
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;

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
