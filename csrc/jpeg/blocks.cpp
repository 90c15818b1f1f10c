#include "jpeg/blocks.h"

#include <cstring>

#include "jpeg/frame.h"

namespace fastload::jpeg {

namespace {

// A block of an MCU on its way into its plane.
struct Route {
  int16_t* to;        // where the next MCU's goes
  ptrdiff_t advance;  // from one MCU to the next
  ptrdiff_t skip;     // from behind a row of MCUs to the next row
};

}  // namespace

Coefficients blocks_of(const jpeg_decompress_struct& libjpeg, Box window) {
  PlaneShape shapes[kMaxPlanes];
  for (int i = 0; i < libjpeg.num_components; ++i) {
    const jpeg_component_info& component = libjpeg.comp_info[i];
    shapes[i] = {component.MCU_width, component.MCU_height, static_cast<int32_t>(component.downsampled_width),
                 static_cast<int32_t>(component.downsampled_height)};
  }
  return planes_of(shapes, libjpeg.num_components, window);
}

void read_blocks(Codec* codec, const Coefficients& wanted, int16_t* out) {
  jpeg_decompress_struct* const libjpeg = &codec->libjpeg;
  JBLOCK mcu[D_MAX_BLOCKS_IN_MCU];
  JBLOCKROW blocks[D_MAX_BLOCKS_IN_MCU];
  Route routes[D_MAX_BLOCKS_IN_MCU];
  int count = 0;
  for (int i = 0; i < wanted.count; ++i) {
    const Plane& plane = wanted.planes[i];
    const jpeg_component_info& component = libjpeg->comp_info[i];
    const auto row = static_cast<ptrdiff_t>(kBlockSize) * plane.columns;
    for (int k = 0; k < kBlockSize; ++k) out[k] = static_cast<int16_t>(component.quant_table->quantval[k]);
    for (int y = 0; y < component.MCU_height; ++y) {
      for (int x = 0; x < component.MCU_width; ++x, ++count) {
        blocks[count] = &mcu[count];
        routes[count] = {out + kBlockSize + y * row + kBlockSize * x, kBlockSize * component.MCU_width,
                         row * (component.MCU_height - 1)};
      }
    }
    out += plane.size();
  }
  const Plane& luminance = wanted.planes[0];
  const int32_t mcu_width = libjpeg->comp_info[0].MCU_width, mcu_height = libjpeg->comp_info[0].MCU_height;
  const int32_t left = luminance.x / DCTSIZE / mcu_width, top = luminance.y / DCTSIZE / mcu_height;
  const int32_t right = left + luminance.columns / mcu_width, bottom = top + luminance.rows / mcu_height;
  for (int32_t y = 0; y < bottom; ++y) {
    for (int32_t x = 0; x < static_cast<int32_t>(libjpeg->MCUs_per_row); ++x) {
      if (y < top || x < left || x >= right) {
        codec->huffman.read_mcu(libjpeg, nullptr);
        continue;
      }
      std::memset(mcu, 0, sizeof(JBLOCK) * static_cast<size_t>(count));
      codec->huffman.read_mcu(libjpeg, blocks);
      for (int i = 0; i < count; ++i) {
        std::memcpy(routes[i].to, mcu[i], sizeof(JBLOCK));
        routes[i].to += routes[i].advance;
      }
    }
    for (int i = 0; y >= top && i < count; ++i) routes[i].to += routes[i].skip;
  }
}

}  // namespace fastload::jpeg
