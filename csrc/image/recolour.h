// image/recolour.h: changes of colour on RGBX pixels, every byte as Pillow's ImageEnhance, ImageOps and HSV conversion compute them.
//
// `scalar` is the definition; the SIMD variants must equal it byte for byte. Of a gray image, all of whose channels are equal, the
// result is Pillow's of its mode L.
#pragma once

#include "image/resample.h"
#include "types.h"

namespace fastload::image {

enum class Change : uint8_t {
  brightness,    // ImageEnhance.Brightness(image).enhance(factor)
  contrast,      // ImageEnhance.Contrast
  saturation,    // ImageEnhance.Color
  hue,           // `level`, 0 to 255, is added to the H of HSV, modulo 256
  sharpness,     // ImageEnhance.Sharpness
  autocontrast,  // ImageOps.autocontrast(image)
  equalize,      // ImageOps.equalize(image)
  solarize,      // values from `level` on are inverted; 0: all
  posterize,     // the bits of `level` stay
  brighten_dark, // values below 128 are raised by `level`, to 255 at most; timm's solarize_add
  channels,      // channel c becomes channel order[c]
};

struct Recolour {
  Change change = Change::brightness;
  float factor = 1;
  int32_t level = 0;
  uint8_t order[3] = {0, 1, 2};
};

// Whether a pixel's new value depends on all pixels of the image.
bool depends_on_all(Change change);

// In place, on the part `want` of `pixels`; any change but sharpness. `pixels` is the whole image where the change depends on that.
void recolour(const Recolour& recolour, const Pixels& pixels, const Box& want, Simd simd);

// `need` is `want` and a pixel around it, as far as the image of width x height goes.
Box sharpening_needs(const Box& want, int32_t width, int32_t height);

// Change::sharpness, of `want` of an image of width x height; `source` holds exactly sharpening_needs(want), and `out` is of want's size.
void sharpen(float factor, const Pixels& source, const Box& want, int32_t width, int32_t height, const Pixels& out, Simd simd);

}  // namespace fastload::image
