// types.h: the only words that the rooms share. Plain structs; nothing here owns memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastload {

// Bytes in memory, read only. Whoever filled it says how long it lives.
struct ByteSpan {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

// A rectangle in pixels: columns [x, x + width), rows [y, y + height).
struct Box {
  int32_t x = 0;
  int32_t y = 0;
  int32_t width = 0;
  int32_t height = 0;
};

inline bool operator==(const Box& a, const Box& b) {
  return a.x == b.x && a.y == b.y && a.width == b.width && a.height == b.height;
}

// Reading a few bytes past a row's end is allowed: every pixel buffer has this many bytes of slack after its last row,
// so that SIMD loads need no tail case.
constexpr size_t kPixelSlack = 64;

// 8-bit pixels, four bytes each: red, green, blue and one byte that nobody reads ("RGBX", what libjpeg-turbo writes
// fastest and SIMD reads without unpacking). Rows are `stride` bytes apart.
struct Pixels {
  uint8_t* data = nullptr;
  int32_t width = 0;
  int32_t height = 0;
  ptrdiff_t stride = 0;

  uint8_t* row(int32_t y) const { return data + y * stride; }
};

// How a sample ended. Zero is success; the message is a static string or lives as long as the thread's scratch.
enum class Code : int32_t {
  ok = 0,
  not_found,   // the path does not exist
  unreadable,  // any other failure of open or read
  empty,       // no bytes at all
  not_native,  // intact as far as can be seen, but not for this decoder: somebody else may know it
  damaged,     // the decoder gave up
  too_large,   // more pixels than allowed
  transform,   // a transform refuses this image
  cancelled,   // an earlier sample of the batch failed, or the batch was given up
};

// Of a file of which only the beginning is in memory.
enum class Rest : uint8_t {
  wanted,
  unwanted,  // the image ends before it
  foreign,   // the file is somebody else's, who reads it in his own way
};

struct Status {
  Code code = Code::ok;
  const char* message = "";

  bool ok() const { return code == Code::ok; }
};

}  // namespace fastload
