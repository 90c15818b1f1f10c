#include "shards/tar_scan.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>

namespace fastload::shards {

namespace {

constexpr int64_t kLongestText = 1 << 24;
constexpr size_t kNone = SIZE_MAX;

// Names such as "__meta__/x" are not samples'.
bool is_meta(std::string_view name) {
  const std::string_view first = name.substr(0, name.find('/'));
  return first.size() >= 4 && first.substr(0, 2) == "__" && first.substr(first.size() - 2) == "__";
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

bool read_integer(std::string_view text, int64_t* number) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return false;
  text = text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
  if (text.front() == '+' && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

struct Sample {
  std::string key;
  std::vector<std::string> endings;
  size_t image = kNone, target = kNone;  // which of the fields
  TarMember image_member;
  int64_t number = 0;
  std::string text;
  std::string note;
};

class Scanner {
 public:
  Scanner(ByteWindow* bytes, const TarFields& fields) : bytes_(bytes), fields_(fields), members_(bytes) {}

  TarScan run() {
    TarMember member;
    while (scan_.reason.empty() && members_.next(&member)) {
      if (members_.is_another_tar()) finish();
      if (!member.is_file) {
        ++scan_.not_files;
        if (member.is_link) count_link(member);
      } else if (!take(member)) {
        return std::move(scan_);
      }
    }
    finish();
    scan_.end = members_.end();
    scan_.position = members_.position();
    scan_.reason = members_.reason();
    return std::move(scan_);
  }

 private:
  bool fail(TarEnd end, const TarMember& member, const std::string& reason) {
    scan_.end = bytes_->failed() ? TarEnd::unreadable : end;
    scan_.position = member.header;
    scan_.reason = "member '" + member.name.substr(0, 200) + "' " + reason;
    return false;
  }

  void count_link(const TarMember& member) {
    std::string_view key, ending;
    if (is_meta(member.name) || !split_name(member.name, &key, &ending)) return;
    if (scan_.links++ == 0) scan_.first_link = member.name;
  }

  bool take(const TarMember& member) {
    std::string_view key, ending;
    if (member.name == kAboutMember && scan_.offset.empty() && !is_open_) return read(member, &scan_.about);
    if (is_meta(member.name) || !split_name(member.name, &key, &ending)) {
      ++scan_.unnamed;
      return true;
    }
    if (!is_open_ || key != sample_.key) begin(key);
    const std::string field = lower(ending);
    if (std::find(sample_.endings.begin(), sample_.endings.end(), field) != sample_.endings.end())
      return fail(TarEnd::damaged, member, "is the second '" + field + "' of its sample");
    sample_.endings.push_back(field);
    take_image(member, field);
    if (!scan_.about.empty() && field == kNoteField && !read(member, &sample_.note)) return false;
    return take_target(member, field);
  }

  void take_image(const TarMember& member, const std::string& field) {
    const auto found = std::find(fields_.images.begin(), fields_.images.end(), field);
    const auto rank = static_cast<size_t>(found - fields_.images.begin());
    if (found == fields_.images.end() || rank >= sample_.image) return;
    sample_.image = rank;
    sample_.image_member = member;
  }

  bool take_target(const TarMember& member, const std::string& field) {
    const auto found = std::find_if(fields_.targets.begin(), fields_.targets.end(),
                                    [&](const TargetField& target) { return target.ending == field; });
    const auto rank = static_cast<size_t>(found - fields_.targets.begin());
    if (found == fields_.targets.end() || rank >= sample_.target) return true;
    if (!read(member, &sample_.text)) return false;
    sample_.target = rank;
    if (!found->is_number) return true;
    if (!read_integer(sample_.text, &sample_.number))
      return fail(TarEnd::damaged, member, "is no integer: '" + sample_.text.substr(0, 40) + "'");
    sample_.text.clear();
    return true;
  }

  bool read(const TarMember& member, std::string* text) {
    if (member.size > kLongestText) return fail(TarEnd::damaged, member, "is too long for a text");
    const ByteSpan span = bytes_->look(member.offset, static_cast<size_t>(member.size));
    if (static_cast<int64_t>(span.size) < member.size) return fail(TarEnd::truncated, member, "is cut");
    text->assign(reinterpret_cast<const char*>(span.data), span.size);
    return true;
  }

  void begin(std::string_view key) {
    finish();
    sample_ = Sample{};
    sample_.key = key;
    is_open_ = true;
  }

  void finish() {
    if (!is_open_) return;
    is_open_ = false;
    if (!keys_.insert(sample_.key).second) ++scan_.returned;
    if (sample_.image == kNone) {
      if (scan_.without_image++ == 0) scan_.first_without_image = sample_.key;
    } else if (sample_.target == kNone && !fields_.targets.empty()) {
      if (scan_.without_target++ == 0) scan_.first_without_target = sample_.key;
    } else {
      keep();
    }
  }

  void keep() {
    scan_.offset.push_back(sample_.image_member.offset);
    scan_.length.push_back(sample_.image_member.size);
    scan_.name.append(sample_.image_member.name);
    const bool is_number = sample_.target != kNone && fields_.targets[sample_.target].is_number;
    scan_.number.push_back(is_number ? sample_.number : 0);
    scan_.text.append(sample_.text);
    scan_.field.push_back(static_cast<uint8_t>(sample_.target == kNone ? 0 : sample_.target));
    if (!scan_.about.empty()) scan_.note.append(sample_.note);
  }

  ByteWindow* bytes_;
  const TarFields& fields_;
  TarMembers members_;
  Sample sample_;
  bool is_open_ = false;
  std::unordered_set<std::string> keys_;
  TarScan scan_;
};

}  // namespace

bool split_name(std::string_view name, std::string_view* key, std::string_view* ending) {
  const size_t base = name.rfind('/') + 1;  // npos + 1 is 0
  const size_t dot = name.find('.', base);
  if (dot == std::string_view::npos || dot == 0) return false;
  if (dot == base) {  // a name that begins with a dot belongs to the folder it is in, if that has none
    const size_t above = base < 2 ? std::string_view::npos : name.rfind('/', base - 2);
    if (name.find('.', above + 1) < base) return false;
  }
  *key = name.substr(0, dot);
  *ending = name.substr(dot + 1);
  return true;
}

TarScan scan_tar(ByteWindow* bytes, const TarFields& fields) { return Scanner(bytes, fields).run(); }

}  // namespace fastload::shards
