// shards/tfrecord_scan.h: a TFRecord file -> where the encoded image of each record lies in it, and its label and name, as columns.
//
// The file is read once, front to back. The checksum of every length is checked; that of the data where it is asked for.
// One that is wrong ends the scan, or is noted.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "shards/byte_window.h"
#include "types.h"

namespace fastload::shards {

// Names of features, all different; of an empty one nothing is read.
struct TfrecordQuestion {
  std::string image;
  std::string label;
  std::string name;
  std::string class_name;
  bool checks_data = true;
  bool sums_images = false;
  bool goes_on = false;  // past records that are bad, which are noted; a length that is wrong ends the scan all the same
};

struct BadRecord {
  int64_t record;
  int64_t offset;  // of its header
  int64_t row;     // its place in the columns; -1: it has none, since it could not be read
  std::string why;
};

// Texts one after the other.
struct TextRuns {
  std::vector<int64_t> starts{0};
  std::string text;

  void append(ByteSpan bytes);
};

struct TfrecordColumns {
  std::vector<int64_t> offset;  // in the file, of the image
  std::vector<int64_t> length;
  std::vector<uint32_t> crc32c;  // of the image; empty unless asked for
  TextRuns names;              // empty where a record has none
  // Labels of a record are those from its start to the next one's: numbers, or one text. A record has either, or none.
  std::vector<int64_t> label_starts{0};
  std::vector<int64_t> labels;
  TextRuns label_texts;
  std::vector<uint8_t> has_label_text;
  std::unordered_map<int64_t, std::string> classes;  // the name that came with each label
  bool is_one_name_a_class = true;

  int64_t records = 0;         // that were gone past
  std::vector<BadRecord> bad;  // of these

  // Where the scan ended, if not at the end of the file: why, and where the record begins. Empty: it did not.
  std::string error;
  int64_t error_offset = 0;
};

// Of a file of `size` bytes. Throws nothing but std::bad_alloc.
TfrecordColumns scan_tfrecord(ReadAt read, int64_t size, const TfrecordQuestion& question);

}  // namespace fastload::shards
