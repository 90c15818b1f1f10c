// shards/tar_members.h: a tar -> its members, one after the other: ustar, GNU, PAX and what came before them.
//
// Reads headers, never a member's data. Any bytes may be given: the walk ends, and what is wrong is said with its place.
// One owner, one thread.
#pragma once

#include <map>
#include <string>

#include "shards/byte_window.h"

namespace fastload::shards {

struct TarMember {
  std::string name;
  int64_t header = 0;  // where its first header begins
  int64_t offset = 0;  // of its data
  int64_t size = 0;
  bool is_file = false;  // else a folder, a link and the like
  bool is_link = false;  // to another name, hard or symbolic
};

enum class TarEnd : uint8_t {
  none,        // not yet
  marked,      // by the blocks that end a tar
  unmarked,    // the file ends behind a member, as it does where the blocks were left out or cut off
  truncated,   // within a member or a header
  damaged,     // what is there is no tar
  unreadable,  // the file cannot be read
};

class TarMembers {
 public:
  explicit TarMembers(ByteWindow* bytes) : bytes_(bytes) {}

  // False at the end, whatever ends it.
  bool next(TarMember* member);
  // Whether one tar has ended and another begun before the last member.
  bool is_another_tar() const { return is_another_tar_; }

  TarEnd end() const { return end_; }
  int64_t position() const { return position_; }          // of what ended it, or of what follows the last member
  const std::string& reason() const { return reason_; }  // why, where it was not meant to end

 private:
  bool stop(TarEnd end, int64_t position, std::string reason);
  bool skip_zeros();
  bool read_extension(char type, int64_t offset, int64_t size);

  ByteWindow* bytes_;
  std::map<std::string, std::string> global_;  // of PAX, for all members that follow
  std::map<std::string, std::string> local_;
  std::string long_name_;
  int64_t position_ = 0;
  bool is_another_tar_ = false;
  TarEnd end_ = TarEnd::none;
  std::string reason_;
};

}  // namespace fastload::shards
