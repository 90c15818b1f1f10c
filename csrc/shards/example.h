// shards/example.h: bytes of one tf.train.Example (or the context of a SequenceExample) -> features, as views into the bytes.
//
// As Google's parser reads it: the last of two features of a name counts, numbers are packed or not, what is unknown is passed over.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "types.h"

namespace fastload::shards {

enum class FeatureKind : uint8_t { none, bytes, floats, ints };

// Its values; the lists of the other kinds are empty.
struct Feature {
  FeatureKind kind = FeatureKind::none;
  std::vector<ByteSpan> bytes;
  std::vector<float> floats;
  std::vector<int64_t> ints;

  size_t count() const { return bytes.size() + floats.size() + ints.size(); }
  void clear();
};

// Where a feature of this name is to be put; null: it is not wanted, and not looked into. Asked once for each that is there.
using FeaturePlace = std::function<Feature*(std::string_view name)>;

struct ExampleResult {
  bool is_intact = true;
  bool is_sequence = false;  // it has lists of features, which are not read
};

ExampleResult read_example(ByteSpan example, const FeaturePlace& place);

}  // namespace fastload::shards
