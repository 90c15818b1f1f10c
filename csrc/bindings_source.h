// bindings_source.h: what Python says of where a sample's bytes are -> an io::Source. With Python's lock.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/request.h"
#include "io/source.h"

namespace fastload::bindings {

// What sources point into; it must outlive them, and stay where it is.
struct Pointees {
  std::string paths;      // each followed by a NUL
  std::string names;      // of the cache
  std::string places;     // each, and then its version, followed by a NUL
  pybind11::list memory;  // arrivals, and views of buffers: as long as one lives, its owner cannot move the bytes
};

// str | (str, offset, length[, crc32c or -1[, (size, time in ns, inode or 0)]]) | Arrival | bytes-like; or, of what comes from afar,
// (one of these, place, version). ValueError for anything else that has the shape of one of these, or holds a null byte.
io::Source read_source(const pybind11::handle& object, Pointees* pointees);

// The same of each, with its index.
std::vector<engine::Sample> read_sources(const pybind11::list& sources, const std::vector<uint64_t>& indices,
                                         Pointees* pointees);

// Gives each sample its name in the cache, text or None; ValueError where there is not one for each.
void read_cache_names(const pybind11::list& names, std::vector<engine::Sample>* samples, Pointees* pointees);

}  // namespace fastload::bindings
