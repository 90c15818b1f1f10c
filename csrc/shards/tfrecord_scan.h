// shards/tfrecord_scan.h: a TFRecord file -> where the encoded image of each record lies in it, and its label and name, as columns.
//
// The file is read once, front to back. The checksum of every length is checked; that of the data where it is asked for.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

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

  // Where the scan ended, if not at the end of the file: why, in which record, and where that begins. Empty: it did not.
  std::string error;
  int os_error = 0;  // errno, where the file could not be read
  int64_t error_record = 0;
  int64_t error_offset = 0;
};

// Throws nothing but std::bad_alloc.
TfrecordColumns scan_tfrecord(const char* path, const TfrecordQuestion& question);

}  // namespace fastload::shards
