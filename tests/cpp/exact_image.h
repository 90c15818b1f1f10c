// An image with the slack that every image has, and not a byte more, so that sanitizers see whoever goes behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "types.h"

namespace given {

class ExactImage {
 public:
  ExactImage(int32_t width, int32_t height)
      : bytes_(4 * static_cast<size_t>(width) * static_cast<size_t>(height) + fastload::kPixelSlack),
        pixels_{bytes_.data(), width, height, 4 * static_cast<ptrdiff_t>(width)} {}
  const fastload::Pixels& pixels() const { return pixels_; }

 private:
  std::vector<uint8_t> bytes_;
  fastload::Pixels pixels_;
};

}  // namespace given
