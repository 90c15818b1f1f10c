// jpeg/inverse_dct.h: coefficients of a block -> its samples, in the place of libjpeg's own transform. Private to this room.
//
// Note [inverse DCT]
// Samples are exact integers, libjpeg's "islow": a pass along columns, rounded to two bits behind the point, then one along rows. Each
// output is a sum of products modulo 2^32, so their order is free: two multiplications by pairs a register, and no shuffles between
// them, where libjpeg's AVX2 code takes 94 cycles a block and this 62. That code adds some inputs in 16 bits, where those of absurd
// coefficients overflow: what could differ shows between the passes, and such a block is libjpeg's. With registers of 512 bits a block
// took 47 cycles, and yet photos took longer: the processor lowered its clock by a tenth.
#pragma once

#include <cstdint>
#include <cstdio>

// clang-format off: jpeglib.h uses FILE and size_t without including them, so it comes last
#include <jpeglib.h>
// clang-format on

#include "image/resample.h"

namespace fastload::jpeg {

#if defined(__x86_64__)
// 64 coefficients in rows, and as many quantizers -> eight samples to column `column` of each of eight rows. False, and nothing written:
// libjpeg may give others.
bool inverse_dct_avx2(const int16_t* coefficients, const uint16_t* quantizers, uint8_t* const* rows, size_t column);
#endif

class Transform {
 public:
  // scalar: libjpeg's own, whatever that is.
  void use(image::Simd simd) { simd_ = simd; }
  // After jpeg_start_decompress(), in the Codec whose member this is.
  void take_over(jpeg_decompress_struct* libjpeg);

 private:
  using Method = void (*)(j_decompress_ptr, jpeg_component_info*, JCOEFPTR, JSAMPARRAY, JDIMENSION);
  static void transform(j_decompress_ptr libjpeg, jpeg_component_info* component, JCOEFPTR coefficients, JSAMPARRAY rows,
                        JDIMENSION column);

  image::Simd simd_ = image::best_simd();
  Method libjpegs_ = nullptr;
};

}  // namespace fastload::jpeg
