// shards/protobuf.h: bytes of a protobuf message -> its fields, one after the other, as views into the bytes. Nothing is copied, nothing
// is believed: every length ends inside the message.
#pragma once

#include "types.h"

namespace fastload::shards {

enum class Wire : uint8_t { varint = 0, fixed64 = 1, bytes = 2, group = 3, end_group = 4, fixed32 = 5 };

struct Field {
  uint32_t number = 0;
  Wire wire = Wire::varint;
  uint64_t value = 0;  // varint, fixed64 and fixed32
  ByteSpan bytes;      // bytes
};

class Fields {
 public:
  explicit Fields(ByteSpan message) : next_(message.data), end_(message.data + message.size) {}

  // False at the end, and where the message is damaged. Groups, which nobody writes any more, are passed over.
  bool next(Field* field);
  bool is_damaged() const { return is_damaged_; }

  // Of a packed list, the next of its numbers; false as above.
  bool next_varint(uint64_t* value);

 private:
  bool read(Field* field);
  bool damaged();

  const uint8_t* next_;
  const uint8_t* end_;
  bool is_damaged_ = false;
};

}  // namespace fastload::shards
