// jpeg/blocks.h: which blocks of coefficients a window's pixels depend on, and those blocks in order. Private to this room.
#pragma once

#include "jpeg/codec.h"
#include "jpeg/coefficients.h"

namespace fastload::jpeg {

// Of an image that was started, whose scan has gray, or luminance and chroma at half or full size.
Coefficients blocks_of(const jpeg_decompress_struct& libjpeg, Box window);

// For use between setjmp and libjpeg, after Huffman::take_over(): fills `out`, wanted.size() numbers.
void read_blocks(Codec* codec, const Coefficients& wanted, int16_t* out);

}  // namespace fastload::jpeg
