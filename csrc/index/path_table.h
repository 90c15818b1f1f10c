// index/path_table.h: millions of paths in a few flat arrays. A path is a folder (stored once) and a name.
//
// Filled by one thread, then read by any number. 1.28 million ImageNet paths take about 45 bytes each.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace fastload::index {

class PathTable {
 public:
  // All of it, to be copied elsewhere: bytes of the six arrays below, in their order.
  static constexpr size_t kParts = 6;
  std::array<std::string_view, kParts> parts() const;
  // The same table from such bytes; false if they are none.
  bool assign(const std::array<std::string_view, kParts>& parts);

  void append(std::string_view path, int64_t target);
  // Gives back what growing left over; call once after the last append.
  void shrink();

  int64_t size() const { return static_cast<int64_t>(targets_.size()); }
  std::string path(int64_t i) const;
  // Appends the characters of path i to `out`.
  void append_path(int64_t i, std::string* out) const;
  // Has the rows on their way from memory, all at once, before they are asked for one after the other.
  void fetch(const std::vector<int64_t>& rows) const;
  int64_t target(int64_t i) const { return targets_[static_cast<size_t>(i)]; }
  const std::vector<int64_t>& targets() const { return targets_; }
  // Bytes held by the table.
  int64_t memory_bytes() const;

 private:
  std::string folders_;  // each with its trailing '/'
  std::vector<uint64_t> folder_starts_{0};
  std::string names_;
  std::vector<uint64_t> name_starts_{0};
  std::vector<uint32_t> folder_of_;
  std::vector<int64_t> targets_;
  std::unordered_map<std::string, uint32_t> folder_ids_;  // emptied by shrink()
};

}  // namespace fastload::index
