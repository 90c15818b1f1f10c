// image/mix.h: chains of operations on one image of bytes, mixed by weights: torchvision's AugMix, which does them on tensors. Every
// byte as torch computes it there; that differs from Pillow's nearly everywhere.
//
// `scalar` is the definition; the SIMD variant must equal it byte for byte.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "buffer.h"
#include "image/resample.h"
#include "types.h"

namespace fastload::image {

// What torchvision's functions for uint8 tensors do (transforms, not transforms.v2).
enum class TensorChange : uint8_t {
  table,         // each value becomes table[value]
  saturation,    // ratio * value + rest * the pixel's gray
  contrast,      // … of the image's mean gray; exact where the sum of grays is below 2^24
  sharpness,     // … of the mean of nine pixels
  autocontrast,  //
  equalize,      //
  warp,          // grid_sample of an affine grid, zeros outside
};

struct TensorOp {
  TensorChange change = TensorChange::table;
  std::array<uint8_t, 256> table = {};
  float ratio = 1;
  float rest = 0;
  float by[6] = {1, 0, 0, 0, 1, 0};  // warp: theta, in float32
};

// How torch computes a grid's coordinates, and looks up what is there.
struct GridStyle {
  bool is_fused = false;  // the product with theta by fused multiply-adds
  bool is_nearest = false;
};

struct Mix {
  bool is_gray = false;
  GridStyle grid;
  float weight = 1;  // of the image itself
  struct Chain {
    float weight = 0;
    std::vector<std::shared_ptr<const TensorOp>> operations;
  };
  std::vector<Chain> chains;
};

// One per thread: it owns the chains' images.
class Mixer {
 public:
  explicit Mixer(Simd simd) : simd_(simd) {}

  // In place.
  void run(const Mix& mix, const Pixels& pixels);
  void run(const TensorOp& operation, bool is_gray, const GridStyle& grid, const Pixels& pixels);
  void settle() { images_.settle(); }

 private:
  // Of *image; the result is there, and may have taken the place of *spare.
  void apply(const TensorOp& operation, bool is_gray, const GridStyle& grid, Pixels* image, Pixels* spare);

  const Simd simd_;
  Buffer images_;
};

}  // namespace fastload::image
