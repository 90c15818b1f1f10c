// jpeg/codec.h: libjpeg's decompressor over bytes in memory, whose errors come back as a Status. Private to this room.
//
// Note [libjpeg errors]: libjpeg reports an error by calling a function that must not return; ours jumps to the setjmp
// of whoever called libjpeg. Hence a Codec lives on the heap, and no function between setjmp and libjpeg owns anything
// with a destructor. A warning takes the same way: libjpeg warns where it repairs damaged data, repairs change between
// releases, and Pillow may hold another release than we do, so such an image is left to Pillow.
#pragma once

#include <csetjmp>
#include <cstdint>
#include <cstdio>

// clang-format off: jpeglib.h uses FILE and size_t without including them, so it comes last
#include <jpeglib.h>
// clang-format on

#include "jpeg/huffman.h"
#include "jpeg/inverse_dct.h"
#include "types.h"

#if !defined(LIBJPEG_TURBO_VERSION_NUMBER) || LIBJPEG_TURBO_VERSION_NUMBER < 2001005
#error "fastload needs libjpeg-turbo 2.1.5 or newer: older ones and IJG's libjpeg give other pixels"
#endif

namespace fastload::jpeg {

// What is no part of the picture: EXIF, profiles, comments.
enum class Markers : uint8_t { skipped, kept };

struct Codec {
  jpeg_decompress_struct libjpeg = {};
  Huffman huffman;
  Transform transform;
  std::jmp_buf failure;  // set it before calling libjpeg; after a jump, `status` says why
  Status status;

  Codec();
  ~Codec();
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;

  // Calls libjpeg. Parses up to the first scan. A fresh libjpeg object every time: tables of another image survive
  // jpeg_abort(), and a file without tables of its own would be decoded with them.
  void open(ByteSpan bytes, Markers markers = Markers::skipped);

  // For use between setjmp and libjpeg: ends the call with this status.
  [[noreturn]] void give_up(Code code, const char* message);

  bool is_open() const { return is_open_; }
  void close();

 private:
  static void on_error(j_common_ptr libjpeg);
  static void on_message(j_common_ptr libjpeg, int level);
  static void on_progress(j_common_ptr libjpeg);
  static boolean on_end_of_bytes(j_decompress_ptr libjpeg);
  static void on_skip(j_decompress_ptr libjpeg, long count);

  jpeg_error_mgr errors_ = {};
  jpeg_source_mgr source_ = {};
  jpeg_progress_mgr progress_ = {};
  char text_[JMSG_LENGTH_MAX] = {};
  bool is_open_ = false;
};

}  // namespace fastload::jpeg
