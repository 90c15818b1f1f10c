// image/warp.h: Pillow's Image.transform of RGBX pixels by an affine or a perspective map, every byte as Pillow computes it.
//
// To add one to a plan: recipe::PlanBuilder::warp(); recipe/warps.h has torchvision's affine, Pillow's rotate and the perspective.
// `scalar` is the definition; the SIMD variants must equal it byte for byte.
#pragma once

#include "image/resample.h"
#include "types.h"

namespace fastload::image {

// Image.transform((out_width, out_height), Image.AFFINE or Image.PERSPECTIVE, by, filter, fillcolor=fill) of an image of
// in_width x in_height, of which only `region` (in output pixels) is wanted.
struct Warp {
  bool is_perspective = false;
  Filter filter = Filter::nearest;  // or bilinear, or bicubic
  // From a place (x, y) of the output, in pixels whose centres are at halves, to one of the input: (by[0] x + by[1] y + by[2],
  // by[3] x + by[4] y + by[5]), of a perspective each divided by by[6] x + by[7] y + 1. Finite, and none beyond 1e100.
  double by[8] = {1, 0, 0, 0, 1, 0, 0, 0};
  uint8_t fill[3] = {0, 0, 0};  // what shows where the input has nothing
  int32_t in_width = 0;
  int32_t in_height = 0;
  int32_t out_width = 0;
  int32_t out_height = 0;
  Box region;
};

// Input pixels that hold all on which `warp.region` depends: never none of them.
Box needed_input(const Warp& warp);

// `source` holds exactly needed_input(warp); `out` is a buffer of region.width x region.height pixels.
void warp(const Warp& warp, const Pixels& source, const Pixels& out, Simd simd);

}  // namespace fastload::image
