// bindings.cpp: the extension module fastload._core.
#include "bindings.h"

#include "bindings_arrival.h"
#include "bindings_http.h"
#include "bindings_jpeg_header.h"
#include "bindings_places.h"
#include "bindings_shards.h"
#include "bindings_torch_draw.h"

PYBIND11_MODULE(_core, module) {
  using namespace fastload::bindings;
  module.doc() = "The native core of fastload: bytes to pixels to tensors. No torch inside.";
  bind_random(module);
  bind_streams(module);
  bind_blur(module);
  bind_transforms(module);
  bind_timm(module);
  bind_policies(module);
  bind_mix(module);
  bind_target(module);
  bind_index(module);
  bind_shards_tar(module);
  bind_shards_tfrecord(module);
  bind_image(module);
  bind_jpeg(module);
  bind_arrival(module);
  bind_http(module);
  bind_http_loop(module);
  bind_memory(module);
  bind_cache(module);
  bind_entries(module);
  bind_device(module);
  bind_batch(module);
  bind_engine(module);
  bind_places(module);
  bind_torch_draw(module);
  bind_reader(module);
  bind_lazy_jpeg(module);
  bind_jpeg_header(module);
  bind_versions(module);
}
