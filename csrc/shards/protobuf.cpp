#include "shards/protobuf.h"

namespace fastload::shards {

namespace {

constexpr uint32_t kLargestNumber = (1U << 29) - 1;

}  // namespace

bool Fields::damaged() {
  is_damaged_ = true;
  next_ = end_;
  return false;
}

bool Fields::next_varint(uint64_t* value) {
  if (next_ == end_) return false;
  uint64_t read = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (next_ == end_) return damaged();
    const uint8_t byte = *next_++;
    read |= static_cast<uint64_t>(byte & 0x7f) << shift;  // of the tenth byte one bit counts, as in Google's parser
    if ((byte & 0x80) == 0) {
      *value = read;
      return true;
    }
  }
  return damaged();
}

bool Fields::read(Field* field) {
  uint64_t tag = 0;
  if (!next_varint(&tag)) return false;
  const uint64_t number = tag >> 3;
  if (number == 0 || number > kLargestNumber) return damaged();
  field->number = static_cast<uint32_t>(number);
  field->wire = static_cast<Wire>(tag & 7);
  const auto left = static_cast<uint64_t>(end_ - next_);
  switch (field->wire) {
    case Wire::varint: return next_varint(&field->value) || damaged();
    case Wire::fixed32:
    case Wire::fixed64: {
      const size_t size = field->wire == Wire::fixed32 ? 4 : 8;
      if (left < size) return damaged();
      field->value = 0;
      for (size_t i = 0; i < size; ++i) field->value |= static_cast<uint64_t>(next_[i]) << (8 * i);
      next_ += size;
      return true;
    }
    case Wire::bytes: {
      uint64_t size = 0;
      if (!next_varint(&size) || size > static_cast<uint64_t>(end_ - next_)) return damaged();
      field->bytes = {next_, static_cast<size_t>(size)};
      next_ += size;
      return true;
    }
    case Wire::group:
    case Wire::end_group: return true;
  }
  return damaged();
}

bool Fields::next(Field* field) {
  int depth = 0;
  while (read(field)) {
    if (field->wire == Wire::group) {
      ++depth;
    } else if (field->wire == Wire::end_group) {
      if (--depth < 0) return damaged();
    } else if (depth == 0) {
      return true;
    }
  }
  return depth > 0 ? damaged() : false;
}

}  // namespace fastload::shards
