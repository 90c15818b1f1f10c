// io/crc32c.h: bytes -> their CRC-32C (Castagnoli), the checksum of TFRecord. Any thread.
#pragma once

#include "types.h"

namespace fastload::io {

enum class Crc32c : uint8_t { table, sse42 };

bool has_crc32c(Crc32c variant);

// Of bytes that come after others whose checksum is `before`. The fastest variant that this processor has.
uint32_t crc32c(ByteSpan bytes, uint32_t before = 0);
// For tests; the variant must be there.
uint32_t crc32c(ByteSpan bytes, uint32_t before, Crc32c variant);

// As TFRecord writes it, so that the checksum of bytes that hold checksums is not a special one.
inline uint32_t masked_crc32c(ByteSpan bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

}  // namespace fastload::io
