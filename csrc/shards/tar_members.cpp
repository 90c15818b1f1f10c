#include "shards/tar_members.h"

#include <charconv>
#include <cstring>

#include "shards/tar_header.h"

namespace fastload::shards {

namespace {

// Names and PAX records are read whole: no honest one is longer.
constexpr int64_t kLongestExtension = 1 << 20;
// Empty blocks behind a tar are looked at so many at a time.
constexpr size_t kZeros = 1 << 16;

bool is_extension(char type) { return std::strchr("xXgLK", type) != nullptr && type != '\0'; }

// Links, devices, folders and pipes have no data, whatever their size says.
bool has_data(char type) { return std::strchr("123456", type) == nullptr || type == '\0'; }

std::string bytes_of(int64_t size) { return std::to_string(size) + (size == 1 ? " byte" : " bytes"); }

// For messages: any bytes, in one line.
std::string shown(std::string_view name) {
  std::string text;
  for (const char c : name.substr(0, 200)) text += static_cast<uint8_t>(c) < 0x20 || c == 0x7f ? '?' : c;
  return "'" + text + "'";
}

}  // namespace

bool TarMembers::stop(TarEnd end, int64_t position, std::string reason) {
  end_ = end;
  position_ = position;
  reason_ = std::move(reason);
  if (bytes_->failed()) end_ = TarEnd::unreadable;
  return false;
}

// Over the blocks that end a tar; false if nothing follows them.
bool TarMembers::skip_zeros() {
  while (position_ < bytes_->size()) {
    const ByteSpan span = bytes_->look(position_, kZeros);
    if (span.size == 0) return stop(TarEnd::unreadable, position_, "cannot be read");
    size_t at = 0;
    while (at < span.size && span.data[at] == 0) ++at;
    const auto blocks = static_cast<int64_t>(at) / kBlock;
    position_ += at == span.size ? static_cast<int64_t>(at) : blocks * kBlock;
    if (at < span.size) return true;
  }
  return stop(TarEnd::marked, position_, "");
}

bool TarMembers::read_extension(char type, int64_t offset, int64_t size) {
  if (size > kLongestExtension) return stop(TarEnd::damaged, position_, "a header of " + bytes_of(size) + " for one name");
  const ByteSpan span = bytes_->look(offset, static_cast<size_t>(size));
  if (static_cast<int64_t>(span.size) < size) {
    return stop(TarEnd::truncated, position_,
                "a header's text is " + bytes_of(size) + " long, " + bytes_of(static_cast<int64_t>(span.size)) + " are there");
  }
  const std::string_view text(reinterpret_cast<const char*>(span.data), span.size);
  if (type == 'L') {
    long_name_ = text.substr(0, text.find('\0'));
  } else if (type != 'K') {
    if (!read_pax_records(text, &local_) || (type == 'g' && !read_pax_records(text, &global_)))
      return stop(TarEnd::damaged, position_, "a PAX header whose records are none");
  }
  return true;
}

bool TarMembers::next(TarMember* member) {
  if (end_ != TarEnd::none) return false;
  is_another_tar_ = false;
  member->header = -1;
  local_ = global_;
  long_name_.clear();
  for (;;) {
    if (position_ >= bytes_->size() && member->header < 0) return stop(TarEnd::unmarked, position_, "");
    ByteSpan block = bytes_->look(position_, kBlock);
    if (block.size == static_cast<size_t>(kBlock) && is_zero_block(block.data)) {
      if (member->header >= 0) return stop(TarEnd::damaged, position_, "a name without its member");
      if (!skip_zeros()) return false;
      is_another_tar_ = true;
      global_.clear();
      local_.clear();
      block = bytes_->look(position_, kBlock);
    }
    if (block.size < static_cast<size_t>(kBlock)) {
      return stop(TarEnd::truncated, position_,
                  "a header is 512 bytes long, " + bytes_of(static_cast<int64_t>(block.size)) + " are there");
    }
    TarHeader header;
    const std::string_view wrong = read_header(block.data, &header);
    if (!wrong.empty()) return stop(TarEnd::damaged, position_, std::string(wrong));
    if (member->header < 0) member->header = position_;
    const int64_t offset = position_ + kBlock;
    if (is_extension(header.type)) {
      if (!read_extension(header.type, offset, header.size)) return false;
      position_ = offset + (header.size + kBlock - 1) / kBlock * kBlock;
      continue;
    }
    member->name = long_name_.empty() ? std::move(header.name) : std::move(long_name_);
    member->size = header.size;
    member->offset = offset;
    for (const auto& [key, value] : local_) {
      if (key == "path") member->name = value;
      if (key == "size") {
        const char* const last = value.data() + value.size();
        const auto [end, error] = std::from_chars(value.data(), last, member->size);
        if (error != std::errc() || end != last || member->size < 0)
          return stop(TarEnd::damaged, position_, "a PAX header whose size is no number");
      }
      if (key.rfind("GNU.sparse.", 0) == 0) header.type = 'S';
    }
    if (header.type == 'S')
      return stop(TarEnd::damaged, position_, "a sparse file, " + shown(member->name) + ": write the tar without --sparse");
    if (member->name.find('\0') != std::string::npos)
      return stop(TarEnd::damaged, position_, "a name with a zero in it");
    const bool ends_in_slash = !member->name.empty() && member->name.back() == '/';
    member->is_file = header.type == '0' || header.type == '7' || (header.type == '\0' && !ends_in_slash);
    member->is_link = header.type == '1' || header.type == '2';
    if (!has_data(header.type) || (header.type == '\0' && ends_in_slash)) member->size = 0;
    const int64_t there = bytes_->size() - offset;
    if (member->size > there) {
      return stop(TarEnd::truncated, member->header,
                  "member " + shown(member->name) + " is " + bytes_of(member->size) + " long, " + bytes_of(there) +
                      " are there");
    }
    position_ = std::min(bytes_->size(), offset + (member->size + kBlock - 1) / kBlock * kBlock);
    return true;
  }
}

}  // namespace fastload::shards
