#include "shards/example.h"

#include <cstring>

#include "shards/protobuf.h"

namespace fastload::shards {

namespace {

float as_float(uint64_t bits) {
  const auto low = static_cast<uint32_t>(bits);
  float value;
  std::memcpy(&value, &low, sizeof value);
  return value;
}

bool read_floats(ByteSpan list, std::vector<float>* values) {
  Fields fields(list);
  Field field;
  while (fields.next(&field)) {
    if (field.number != 1) continue;
    if (field.wire == Wire::fixed32) values->push_back(as_float(field.value));
    if (field.wire != Wire::bytes) continue;
    if (field.bytes.size % sizeof(float) != 0) return false;
    const size_t before = values->size();
    values->resize(before + field.bytes.size / sizeof(float));
    if (field.bytes.size > 0) std::memcpy(values->data() + before, field.bytes.data, field.bytes.size);
  }
  return !fields.is_damaged();
}

bool read_ints(ByteSpan list, std::vector<int64_t>* values) {
  Fields fields(list);
  Field field;
  while (fields.next(&field)) {
    if (field.number != 1) continue;
    if (field.wire == Wire::varint) values->push_back(static_cast<int64_t>(field.value));
    if (field.wire != Wire::bytes) continue;
    Fields packed(field.bytes);
    uint64_t value = 0;
    while (packed.next_varint(&value)) values->push_back(static_cast<int64_t>(value));
    if (packed.is_damaged()) return false;
  }
  return !fields.is_damaged();
}

bool read_bytes(ByteSpan list, std::vector<ByteSpan>* values) {
  Fields fields(list);
  Field field;
  while (fields.next(&field))
    if (field.number == 1 && field.wire == Wire::bytes) values->push_back(field.bytes);
  return !fields.is_damaged();
}

// Adds to what is there: a message that comes twice is one message. Of a list of another kind the last stays.
bool read_feature(ByteSpan message, Feature* feature) {
  Fields fields(message);
  Field field;
  while (fields.next(&field)) {
    if (field.wire != Wire::bytes || field.number > 3) continue;
    const auto kind = static_cast<FeatureKind>(field.number);
    if (kind != feature->kind) feature->clear();
    feature->kind = kind;
    const bool is_intact = kind == FeatureKind::bytes    ? read_bytes(field.bytes, &feature->bytes)
                           : kind == FeatureKind::floats ? read_floats(field.bytes, &feature->floats)
                                                         : read_ints(field.bytes, &feature->ints);
    if (!is_intact) return false;
  }
  return !fields.is_damaged();
}

// One of the map: {1: name, 2: feature}, in whichever order.
bool read_entry(ByteSpan entry, const FeaturePlace& place) {
  std::string_view name;
  Field field;
  Fields names(entry);
  while (names.next(&field))
    if (field.number == 1 && field.wire == Wire::bytes)
      name = {reinterpret_cast<const char*>(field.bytes.data), field.bytes.size};
  if (names.is_damaged()) return false;
  Feature* const feature = place(name);
  if (feature == nullptr) return true;
  feature->clear();
  Fields values(entry);
  while (values.next(&field))
    if (field.number == 2 && field.wire == Wire::bytes && !read_feature(field.bytes, feature)) return false;
  return true;
}

bool read_features(ByteSpan features, const FeaturePlace& place) {
  Fields fields(features);
  Field field;
  while (fields.next(&field))
    if (field.number == 1 && field.wire == Wire::bytes && !read_entry(field.bytes, place)) return false;
  return !fields.is_damaged();
}

}  // namespace

void Feature::clear() {
  kind = FeatureKind::none;
  bytes.clear();
  floats.clear();
  ints.clear();
}

ExampleResult read_example(ByteSpan example, const FeaturePlace& place) {
  ExampleResult result;
  Fields fields(example);
  Field field;
  while (fields.next(&field)) {
    if (field.wire != Wire::bytes) continue;
    if (field.number == 2) result.is_sequence = true;
    if (field.number == 1 && !read_features(field.bytes, place)) result.is_intact = false;
  }
  result.is_intact = result.is_intact && !fields.is_damaged();
  return result;
}

}  // namespace fastload::shards
