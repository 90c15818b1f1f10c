// What the C++ tests begin with: the plainest target and recipe there are, and a request of some files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"

namespace given {

// Bytes as they are, [3, height, width].
inline std::shared_ptr<const fastload::engine::Target> byte_target() {
  auto target = std::make_shared<fastload::engine::Target>();
  target->table.resize(3 * 256);
  for (size_t i = 0; i < target->table.size(); ++i) target->table[i] = static_cast<uint8_t>(i);
  target->element_bytes = 1;
  target->values.element = fastload::image::Element::uint8;
  target->values.table = target->table.data();
  return target;
}

// Images of side x side, whatever they were.
inline std::shared_ptr<const fastload::recipe::Recipe> resize_to(int32_t side) {
  auto made = std::make_shared<fastload::recipe::Recipe>();
  fastload::recipe::Transform transform;
  transform.kind = fastload::recipe::Kind::resize;
  transform.width = transform.height = side;
  made->transforms = {transform};
  return made;
}

// The path must outlive it, and end with a NUL.
inline fastload::io::Source file(std::string_view path) {
  fastload::io::Source source;
  source.path = path;
  return source;
}

// `count` samples, by turns of these files, into `out`: count images of side x side. The paths must outlive it.
inline fastload::engine::Request request(const std::vector<std::string>& paths, size_t count, int32_t side,
                                         uint8_t* out) {
  fastload::engine::Request asked;
  asked.samples.resize(count);
  for (size_t slot = 0; slot < count && !paths.empty(); ++slot) {
    asked.samples[slot].source = file(paths[slot % paths.size()]);
  }
  asked.recipe = resize_to(side);
  asked.target = byte_target();
  asked.out = out;
  asked.sample_bytes = 3 * static_cast<size_t>(side) * static_cast<size_t>(side);
  asked.out_width = asked.out_height = side;
  return asked;
}

}  // namespace given
