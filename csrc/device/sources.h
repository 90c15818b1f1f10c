// device/sources.h: the text of the kernels' sources, as they were when this was built, to be compiled where there is a GPU.
#pragma once

#include <vector>

namespace fastload::device {

struct Source {
  const char* name;  // as the others include it
  const char* text;
};

// The last is the one to compile.
std::vector<Source> sources();

}  // namespace fastload::device
