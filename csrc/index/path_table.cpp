#include "index/path_table.h"

#include <algorithm>
#include <cstring>

namespace fastload::index {

namespace {

template <typename T>
std::string_view bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <typename T>
void assign_bytes(std::string_view bytes, std::vector<T>* values) {
  values->resize(bytes.size() / sizeof(T));
  if (!values->empty()) std::memcpy(values->data(), bytes.data(), values->size() * sizeof(T));
}

// Where the parts of `text` begin, and its end.
bool are_starts(const std::vector<uint64_t>& starts, const std::string& text) {
  return !starts.empty() && starts.front() == 0 && starts.back() == text.size() &&
         std::is_sorted(starts.begin(), starts.end());
}

}  // namespace

std::array<std::string_view, PathTable::kParts> PathTable::parts() const {
  return {folders_, bytes_of(folder_starts_), names_, bytes_of(name_starts_), bytes_of(folder_of_), bytes_of(targets_)};
}

bool PathTable::assign(const std::array<std::string_view, kParts>& parts) {
  folder_ids_.clear();
  folders_ = parts[0];
  assign_bytes(parts[1], &folder_starts_);
  names_ = parts[2];
  assign_bytes(parts[3], &name_starts_);
  assign_bytes(parts[4], &folder_of_);
  assign_bytes(parts[5], &targets_);
  return are_starts(folder_starts_, folders_) && are_starts(name_starts_, names_) &&
         name_starts_.size() == targets_.size() + 1 && folder_of_.size() == targets_.size() &&
         std::all_of(folder_of_.begin(), folder_of_.end(),
                     [&](uint32_t folder) { return size_t{folder} + 1 < folder_starts_.size(); });
}

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

void PathTable::fetch(const std::vector<int64_t>& rows) const {
  for (const int64_t i : rows) {
    const auto row = static_cast<size_t>(i);
    __builtin_prefetch(&name_starts_[row]);
    __builtin_prefetch(&folder_of_[row]);
    __builtin_prefetch(&targets_[row]);
  }
  for (const int64_t i : rows) __builtin_prefetch(&names_[name_starts_[static_cast<size_t>(i)]]);
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
