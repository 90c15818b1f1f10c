// bindings_http.h: what came of a request, as Python has it. With Python's lock, but for a body's memory.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine/bytes.h"
#include "io/http_conversation.h"

namespace fastload::bindings {

using BodyPool = std::shared_ptr<engine::BytePool>;

// Of all bodies of this process.
const BodyPool& body_pool();

// Its memory is used again when it is gone.
class HttpBody {
 public:
  explicit HttpBody(BodyPool from) : pool_(std::move(from)) {}

  // Without Python's lock.
  uint8_t* allocate(int64_t size) {
    size_ = size;
    memory_ = engine::PooledBytes(pool_, static_cast<size_t>(size > 0 ? size : 1));
    return data();
  }
  uint8_t* data() const { return memory_.data(); }
  int64_t size() const { return size_; }

 private:
  BodyPool pool_;
  engine::PooledBytes memory_;
  int64_t size_ = 0;
};

pybind11::str latin(std::string_view text);
// (the first line, headers by names in small letters)
pybind11::tuple head_of(std::string_view head);
// What went wrong, or nothing.
std::string why_not(const io::HttpAnswer& answer);

void bind_http_loop(pybind11::module_& module);

}  // namespace fastload::bindings
