// device/words.h: what the kernels' sources need to be compiled for a GPU, by NVRTC and without any header, and for this machine.
//
// Note [one source]
// What a GPU does to the images of a batch is written once, as functions of one image and a number: of an interval of codes, a block,
// a pixel. device/kernels.h calls them in a GPU's threads, device/host.cpp in loops here, where they are tested, fuzzed and compared
// with libjpeg. No offset that a kernel writes to depends on the images' bytes or on entry points, and what it reads of these is clamped.
#pragma once

#if defined(__CUDACC_RTC__)
namespace fastload {
using uint8_t = unsigned char;
using int16_t = short;
using uint16_t = unsigned short;
using int32_t = int;
using uint32_t = unsigned int;
using int64_t = long long;
using uint64_t = unsigned long long;
}  // namespace fastload
#else
#include <cstddef>
#include <cstdint>
#endif

#if defined(__CUDACC__)
#define FASTLOAD_DEVICE __device__ __forceinline__
#define FASTLOAD_DEVICE_APART __device__ __noinline__
#define FASTLOAD_CONSTANT __device__ constexpr
#define FASTLOAD_UNROLLED _Pragma("unroll")
#else
#define FASTLOAD_DEVICE inline
#define FASTLOAD_DEVICE_APART inline
#define FASTLOAD_CONSTANT inline constexpr
#define FASTLOAD_UNROLLED
#endif

namespace fastload::device {

FASTLOAD_DEVICE int least(int a, int b) { return a < b ? a : b; }
FASTLOAD_DEVICE int most(int a, int b) { return a > b ? a : b; }
FASTLOAD_DEVICE int clamped(int value, int low, int high) { return most(low, least(value, high)); }

// Whether the threads of a warp still have something to do: those of one run through the same loops, each with codes of its own.
#if defined(__CUDACC__)
FASTLOAD_DEVICE bool any_of_warp(bool here) { return __any_sync(0xFFFFFFFFu, here) != 0; }
FASTLOAD_DEVICE void join_warp() { __syncwarp(); }
#else
inline bool any_of_warp(bool here) { return here; }
inline void join_warp() {}
#endif

}  // namespace fastload::device
