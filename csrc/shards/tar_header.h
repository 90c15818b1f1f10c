// shards/tar_header.h: one block of 512 bytes of a tar -> what it says of its member. Nothing is read beyond the block.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "types.h"

namespace fastload::shards {

constexpr int64_t kBlock = 512;

struct TarHeader {
  std::string name;  // with ustar's prefix
  int64_t size = 0;
  char type = '0';
};

// Static text that says what is wrong with the block; empty if it is a header.
std::string_view read_header(const uint8_t* block, TarHeader* header);
bool is_zero_block(const uint8_t* block);

// Octal text, or base 256 as GNU writes numbers that do not fit. False: it is no number, negative, or too large.
bool read_number(const uint8_t* field, size_t width, int64_t* number);

// The records of a PAX header, "<length> <key>=<value>\n", over those that are there; an empty value takes its key out. False: they
// are none.
bool read_pax_records(std::string_view text, std::map<std::string, std::string>* records);

}  // namespace fastload::shards
