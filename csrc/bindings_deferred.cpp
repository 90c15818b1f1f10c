#include "bindings_deferred.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "bindings_lock.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

// The numbers of one deferred sample, and of each of its two passes, as rows of int32.
constexpr py::ssize_t kSampleNumbers = 8;  // slot, image width and height, window x and y, flips, sampling
constexpr py::ssize_t kPassNumbers = 6;  // vertical, lines, span, outputs, taps, where its starts lie, then its weights

const char* const kKeepNames[static_cast<int>(engine::Keep::count)] = {
    "none",      "not a plain JPEG", "progressive", "colour", "sampling",
    "cut short", "too large",        "transforms",  "scan",   "refused"};

// Copies the taps behind one another and notes where; the caller holds no lock of Python's.
void write_passes(const engine::Results& results, const std::vector<size_t>& slots, int32_t* numbers, int32_t* taps) {
  int32_t at = 0;
  for (const size_t slot : slots) {
    for (const recipe::AxisPass& pass : results.deferred[slot].passes) {
      const int32_t row[kPassNumbers] = {pass.vertical, pass.lines, pass.span, pass.outputs, pass.taps, at};
      std::memcpy(numbers, row, sizeof row);
      numbers += kPassNumbers;
      for (const std::vector<int32_t>* part : {&pass.starts, &pass.weights}) {
        std::memcpy(taps + at, part->data(), part->size() * sizeof(int32_t));
        at += static_cast<int32_t>(part->size());
      }
    }
  }
}

// What is known of all samples that were deferred as bytes.
struct DeferredRows {
  std::vector<size_t> slots;
  py::array_t<int32_t> samples;  // [n, 8]
  py::array_t<int32_t> passes;   // [n, 2, 6]

  // The taps go to `taps`.
  DeferredRows(const engine::Results& results, py::array_t<int32_t, py::array::c_style> taps) {
    for (size_t slot = 0; slot < results.deferred.size(); ++slot) {
      if (results.deferred[slot].pending) slots.push_back(slot);
    }
    if (taps.size() != count_taps(results)) throw py::value_error("taps has not deferred_taps elements");
    const auto count = static_cast<py::ssize_t>(slots.size());
    samples = py::array_t<int32_t>({count, kSampleNumbers});
    passes = py::array_t<int32_t>({count, py::ssize_t{2}, kPassNumbers});
    int32_t* row = samples.mutable_data();
    for (const size_t slot : slots) {
      const engine::Deferred& one = results.deferred[slot];
      const recipe::Plan& plan = one.plan;
      const int32_t numbers[kSampleNumbers] = {
          static_cast<int32_t>(slot), one.width,          one.height,  plan.window.x, plan.window.y,
          plan.flip_horizontal,       plan.flip_vertical, one.sampling};
      std::memcpy(row, numbers, sizeof numbers);
      row += kSampleNumbers;
    }
    int32_t* const numbers = passes.mutable_data();
    int32_t* const values = taps.mutable_data();
    unlocked([&] { write_passes(results, slots, numbers, values); });
  }
};

}  // namespace

int64_t count_deferred(const engine::Results& results) {
  return std::count_if(results.deferred.begin(), results.deferred.end(),
                       [](const engine::Deferred& deferred) { return deferred.pending; });
}

int64_t count_codes(const engine::Results& results) {
  return std::count_if(results.deferred.begin(), results.deferred.end(),
                       [](const engine::Deferred& deferred) { return deferred.pending && deferred.has_codes; });
}

py::list samplings_of(const engine::Results& results) {
  std::set<int32_t> found;
  for (const engine::Deferred& deferred : results.deferred) {
    if (deferred.pending) found.insert(deferred.sampling);
  }
  py::list listed;
  for (const int32_t one : found) listed.append(one);
  return listed;
}

int64_t count_pixels(const engine::Results& results) {
  int64_t count = 0;
  for (const engine::Deferred& deferred : results.deferred) {
    if (deferred.pending) count += static_cast<int64_t>(deferred.width) * deferred.height;
  }
  return count;
}

int64_t count_taps(const engine::Results& results) {
  size_t count = 0;
  for (const engine::Deferred& deferred : results.deferred) {
    if (!deferred.pending) continue;
    for (const recipe::AxisPass& pass : deferred.passes) count += pass.starts.size() + pass.weights.size();
  }
  return static_cast<int64_t>(count);
}

py::dict kept_here(const engine::Results& results) {
  int64_t counts[static_cast<int>(engine::Keep::count)] = {};
  for (const engine::Keep why : results.kept) ++counts[static_cast<int>(why)];
  py::dict named;
  for (int why = 1; why < static_cast<int>(engine::Keep::count); ++why) {
    if (counts[why] > 0) named[kKeepNames[why]] = counts[why];
  }
  return named;
}

py::tuple deferred(const std::shared_ptr<engine::Batch>& batch, py::array_t<int32_t, py::array::c_style> taps) {
  const DeferredRows rows(batch->results, std::move(taps));
  py::list encoded;
  // Whoever holds one of the arrays holds the batch.
  const py::capsule owner(new std::shared_ptr<engine::Batch>(batch),
                          [](void* held) { delete static_cast<std::shared_ptr<engine::Batch>*>(held); });
  for (const size_t slot : rows.slots) {
    const engine::PooledBytes& bytes = batch->results.deferred[slot].bytes;
    encoded.append(py::array_t<uint8_t>(static_cast<py::ssize_t>(bytes.size()), bytes.data(), owner));
  }
  return py::make_tuple(rows.samples, rows.passes, encoded);
}

py::tuple windows(engine::Batch* batch) {
  const engine::Works::Sizes sizes = unlocked([batch] { return batch->works.sizes(); });
  py::list slabs;
  for (const engine::Slabs::Slab& slab : batch->slabs.release()) slabs.append(py::make_tuple(slab.block, slab.used));
  return py::make_tuple(slabs, sizes.works_at, sizes.scratch_bytes,
                        py::make_tuple(sizes.intervals, sizes.blocks, sizes.columns, sizes.between_rows));
}

}  // namespace fastload::bindings
