// device/host.h: the kernels on this machine: what a GPU would do to a batch's block, in loops. For tests, and where there is no GPU.
#pragma once

#include "device/kernels.h"

namespace fastload::device {

// All kernels, one after the other, over all images; one thread. Blocks and scratch lie at a multiple of 16.
void make_images(const Launch& launch);

}  // namespace fastload::device
