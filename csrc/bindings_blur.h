// bindings_blur.h: what the core asks of torch for a Gaussian blur, through fastload.transforms.torch_blur.
#pragma once

#include "image/gaussian_blur.h"

namespace fastload::bindings {

extern const image::TorchBlur kTorchBlur;

}  // namespace fastload::bindings
