// shards/tar_scan.h: a tar of samples, as WebDataset has them -> where each sample's image is, and its target, as columns.
//
// Members that follow each other and have the same key, the name up to the first dot of its last part, are one sample; the rest of the
// name, in small letters, says which of its fields a member is. Of the data only targets are read. Any thread; nothing is shared.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shards/byte_window.h"
#include "shards/tar_members.h"

namespace fastload::shards {

// The member, of a name without a dot so that others leave it alone, in which our writer says what a tar holds.
constexpr const char* kAboutMember = "__fastload__";
// The field in which it keeps what a sample was called before.
constexpr const char* kNoteField = "json";

struct TargetField {
  std::string ending;
  bool is_number = false;
};

// Of several the first that a sample has.
struct TarFields {
  std::vector<std::string> images;
  std::vector<TargetField> targets;  // none: samples have no targets
};

// Texts one behind the other, each beginning where `starts` says.
struct TextColumn {
  std::vector<int64_t> starts{0};
  std::string bytes;

  void append(std::string_view text) {
    bytes.append(text);
    starts.push_back(static_cast<int64_t>(bytes.size()));
  }
};

struct TarScan {
  // Of each sample.
  std::vector<int64_t> offset, length;  // of the image
  TextColumn name;                      // of the image's member
  std::vector<int64_t> number;          // its target, or 0 if it is no number
  TextColumn text;                      // its target, or empty if it is a number
  std::vector<uint8_t> field;           // which of the targets
  TextColumn note;                      // kNoteField's text, where `about` is not empty

  std::string about;  // kAboutMember's text
  // What was left out.
  int64_t without_image = 0, without_target = 0;
  std::string first_without_image, first_without_target;  // keys
  int64_t returned = 0;     // keys that came back behind other samples
  int64_t unnamed = 0;      // files that are of no sample by their name
  int64_t not_files = 0;    // folders, links and the like
  int64_t links = 0;        // of these, links that are called as a sample's member is
  std::string first_link;
  // How it ended.
  TarEnd end = TarEnd::none;
  int64_t position = 0;
  std::string reason;
};

// Key and ending of a member's name; false if it is of no sample.
bool split_name(std::string_view name, std::string_view* key, std::string_view* ending);

TarScan scan_tar(ByteWindow* bytes, const TarFields& fields);

}  // namespace fastload::shards
