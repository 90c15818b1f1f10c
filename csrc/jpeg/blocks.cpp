#include "jpeg/blocks.h"

#include <algorithm>
#include <cstring>

namespace fastload::jpeg {

namespace {

// A block of an MCU on its way into its plane.
struct Route {
  int16_t* to;        // where the next MCU's goes
  ptrdiff_t advance;  // from one MCU to the next
  ptrdiff_t skip;     // from behind a row of MCUs to the next row
};

struct Range {
  int32_t begin;
  int32_t end;
};

// Of MCUs along an axis of which `count` samples at `ratio` to one of chroma, `size` in all, are wanted from `at` on. Where chroma is
// halved, the sample beside each counts too.
Range mcus(int32_t at, int32_t count, int32_t ratio, JDIMENSION size) {
  const int32_t beside = ratio > 1 ? 1 : 0;
  const int32_t first = std::max(0, at / ratio - beside);
  const int32_t last = std::min(static_cast<int32_t>(size) - 1, (at + count - 1) / ratio + beside);
  return {first / DCTSIZE, last / DCTSIZE + 1};
}

}  // namespace

Coefficients blocks_of(const jpeg_decompress_struct& libjpeg, Box window) {
  // The only component of a scan has MCUs of one block, whatever its sampling.
  const bool is_alone = libjpeg.num_components == 1;
  const jpeg_component_info& smallest = libjpeg.comp_info[libjpeg.num_components - 1];
  const Range across =
      mcus(window.x, window.width, is_alone ? 1 : libjpeg.max_h_samp_factor, smallest.downsampled_width);
  const Range down =
      mcus(window.y, window.height, is_alone ? 1 : libjpeg.max_v_samp_factor, smallest.downsampled_height);
  Coefficients wanted;
  wanted.count = libjpeg.num_components;
  for (int i = 0; i < wanted.count; ++i) {
    const jpeg_component_info& component = libjpeg.comp_info[i];
    Plane& plane = wanted.planes[i];
    plane.x = across.begin * component.MCU_width * DCTSIZE;
    plane.y = down.begin * component.MCU_height * DCTSIZE;
    plane.columns = (across.end - across.begin) * component.MCU_width;
    plane.rows = (down.end - down.begin) * component.MCU_height;
    plane.width = static_cast<int32_t>(component.downsampled_width);
    plane.height = static_cast<int32_t>(component.downsampled_height);
  }
  return wanted;
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
