// bindings_jpeg.h: what a decoder says that failed, for Python.
#pragma once

#include "types.h"

namespace fastload::bindings {

// Throws a JpegError (code, message), unless all is well.
void require_ok(const Status& status);

}  // namespace fastload::bindings
