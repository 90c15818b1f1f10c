#include "bindings_names.h"

namespace fastload::bindings {

const char* code_name(Code code) {
  switch (code) {
    case Code::ok: return "ok";
    case Code::not_found: return "not_found";
    case Code::unreadable: return "unreadable";
    case Code::empty: return "empty";
    case Code::not_native: return "not_native";
    case Code::damaged: return "damaged";
    case Code::too_large: return "too_large";
    case Code::transform: return "transform";
    case Code::cancelled: return "cancelled";
  }
  return "unknown";
}

pybind11::dtype dtype_of(image::Element element) {
  const char* const formats[] = {"u1", "f4", "f2", "u2", "f8"};
  return pybind11::dtype(formats[static_cast<int>(element)]);
}

}  // namespace fastload::bindings
