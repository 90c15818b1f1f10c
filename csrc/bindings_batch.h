// bindings_batch.h: a batch as Python holds it.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "bindings_source.h"
#include "engine/engine.h"

namespace fastload::bindings {

// The Python objects that a batch points into, its Request::owned. With Python's lock, which the deleter of hold() takes: the last
// sample to end may let go of them on an engine thread.
struct Held {
  pybind11::object load;  // load(slot, why[, encoded]) -> uint8 [height, width, 3] or None; or None
  pybind11::object out;
  pybind11::object mix;  // see submit(); or None
  Pointees pointees;
};
std::shared_ptr<Held> hold(pybind11::object load, pybind11::object out, pybind11::object mix);

// What is read of it is read with Python's lock and without letting go of it, and so are its samples reclaimed: so whoever has found
// it done may read on.
class PyBatch {
 public:
  // Submits it.
  PyBatch(std::shared_ptr<engine::Engine> engine, engine::Request request);
  // Waits for nothing: a sample may be stuck in a file system that does not answer.
  ~PyBatch();
  PyBatch(const PyBatch&) = delete;
  PyBatch& operator=(const PyBatch&) = delete;

  // True once it is that far; false after `timeout_s`, negative: without limit. Ctrl-C is answered. RuntimeError where it does not
  // come, as the engine was stopped.
  bool wait(engine::Phase phase, double timeout_s);

  // RuntimeError in another process than the one that made it, as the two below; ValueError where it is not that far.
  engine::Batch& here() const;
  engine::Batch& done() const;
  // It is known what was deferred.
  engine::Batch& with_deferred() const;

  const std::shared_ptr<engine::Batch>& shared() const { return batch_; }

 private:
  const std::shared_ptr<engine::Engine> engine_;
  std::shared_ptr<engine::Batch> batch_;
};

}  // namespace fastload::bindings
