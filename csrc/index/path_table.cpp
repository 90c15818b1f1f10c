#include "index/path_table.h"

namespace fastload::index {

void PathTable::append(std::string_view path, int64_t target) {
  const size_t slash = path.rfind('/');
  const size_t folder_length = slash == std::string_view::npos ? 0 : slash + 1;
  const std::string folder(path.substr(0, folder_length));
  const auto next_id = static_cast<uint32_t>(folder_starts_.size() - 1);
  const auto [entry, is_new] = folder_ids_.try_emplace(folder, next_id);
  if (is_new) {
    folders_ += folder;
    folder_starts_.push_back(folders_.size());
  }
  names_ += path.substr(folder_length);
  name_starts_.push_back(names_.size());
  folder_of_.push_back(entry->second);
  targets_.push_back(target);
}

void PathTable::shrink() {
  folders_.shrink_to_fit();
  folder_starts_.shrink_to_fit();
  names_.shrink_to_fit();
  name_starts_.shrink_to_fit();
  folder_of_.shrink_to_fit();
  targets_.shrink_to_fit();
  std::unordered_map<std::string, uint32_t>().swap(folder_ids_);
}

void PathTable::append_path(int64_t i, std::string* out) const {
  const auto row = static_cast<size_t>(i);
  const uint32_t folder = folder_of_[row];
  out->append(folders_, folder_starts_[folder], folder_starts_[folder + 1] - folder_starts_[folder]);
  out->append(names_, name_starts_[row], name_starts_[row + 1] - name_starts_[row]);
}

std::string PathTable::path(int64_t i) const {
  std::string out;
  append_path(i, &out);
  return out;
}

int64_t PathTable::memory_bytes() const {
  return static_cast<int64_t>(folders_.capacity() + names_.capacity() +
                              sizeof(uint64_t) * (folder_starts_.capacity() + name_starts_.capacity()) +
                              sizeof(uint32_t) * folder_of_.capacity() + sizeof(int64_t) * targets_.capacity());
}

}  // namespace fastload::index
