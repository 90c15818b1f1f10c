#include "shards/tfrecord_scan.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "io/crc32c.h"
#include "shards/example.h"

namespace fastload::shards {

namespace {

constexpr int64_t kHeader = 12;  // uint64 length, and its masked checksum
constexpr int64_t kFooter = 4;   // masked checksum of the data
constexpr uint64_t kLongestRecord = uint64_t{1} << 31;  // no protobuf is longer
constexpr int64_t kStep = int64_t{1} << 20;             // stays in the processor's cache until it was looked at
constexpr size_t kMostBad = 100'000;                    // of one file that are told
constexpr const char* kWrongData = "the checksum of its data is wrong";

// A file front to back: the bytes from some place on, while that place only moves on.
class Stream {
 public:
  Stream(ReadAt read, int64_t size) : read_(std::move(read)), size_(size) {}

  int64_t size() const { return size_; }
  // Why there was nothing.
  const std::string& error() const { return error_; }

  // Bytes [offset, offset + size), which lie in the file; null: error() says why. They live until the next call.
  const uint8_t* at(int64_t offset, int64_t size) {
    if (offset + size > end_) {
      const int64_t kept = std::max<int64_t>(end_ - offset, 0);
      const int64_t wanted = std::min(std::max(size, kStep), size_ - offset);
      if (static_cast<int64_t>(buffer_.size()) < wanted) buffer_.resize(static_cast<size_t>(wanted));
      if (kept > 0) std::memmove(buffer_.data(), buffer_.data() + (offset - begin_), static_cast<size_t>(kept));
      begin_ = offset;
      end_ = offset + kept;
      const int64_t got = read_(end_, buffer_.data() + kept, static_cast<size_t>(wanted - kept));
      if (got < wanted - kept) {
        error_ = got < 0 ? "cannot be read" : "the file became shorter while it was read";
        return nullptr;
      }
      end_ += got;
    }
    return buffer_.data() + (offset - begin_);
  }

 private:
  ReadAt read_;
  int64_t size_;
  std::string error_;
  int64_t begin_ = 0;  // of the file, what buffer_ holds
  int64_t end_ = 0;
  std::vector<uint8_t> buffer_;
};

uint64_t read_number(const uint8_t* data, int size) {
  uint64_t number = 0;
  for (int i = 0; i < size; ++i) number |= static_cast<uint64_t>(data[i]) << (8 * i);
  return number;
}

std::string quoted(const std::string& name) { return "\"" + name + "\""; }

const char* kind_name(FeatureKind kind) {
  switch (kind) {
    case FeatureKind::none: return "nothing";
    case FeatureKind::bytes: return "bytes";
    case FeatureKind::floats: return "floats";
    case FeatureKind::ints: return "int64";
  }
  return "";
}

// The features of one record after the other, into the columns.
class Records {
 public:
  Records(const TfrecordQuestion& question, TfrecordColumns* columns) : question_(question), columns_(columns) {}

  // `offset`: of the record's data. Empty: all is well.
  std::string append(ByteSpan data, int64_t offset) {
    for (Feature* const feature : {&image_, &label_, &name_, &class_name_}) feature->clear();
    others_.clear();
    const ExampleResult result = read_example(data, [this](std::string_view name) { return place(name); });
    if (!result.is_intact) return "is no tf.train.Example, or a damaged one";
    if (image_.kind != FeatureKind::bytes || image_.bytes.size() != 1) return image_error(result.is_sequence);
    std::string error = append_label();
    if (!error.empty()) return error;
    const ByteSpan image = image_.bytes[0];
    columns_->offset.push_back(offset + (image.data - data.data));
    columns_->length.push_back(static_cast<int64_t>(image.size));
    if (question_.sums_images) columns_->crc32c.push_back(io::crc32c(image));
    columns_->names.append(name_.bytes.size() == 1 ? name_.bytes[0] : ByteSpan());
    note_class();
    return {};
  }

 private:
  Feature* place(std::string_view name) {
    if (name == question_.image) return &image_;
    if (name == question_.label) return &label_;
    if (name == question_.name) return &name_;
    if (name == question_.class_name) return &class_name_;
    if (others_.size() < kOthers) (others_ += others_.empty() ? "" : ", ") += name;
    return nullptr;
  }

  std::string image_error(bool is_sequence) const {
    if (image_.kind != FeatureKind::none)
      return "feature " + quoted(question_.image) + " is " + std::to_string(image_.count()) + " of " +
             kind_name(image_.kind) + ", not one image";
    return "has no feature " + quoted(question_.image) +
           (is_sequence ? " in the context of this SequenceExample (its lists are not read)" : "") + "; it has " +
           (others_.empty() ? "no others" : others_);
  }

  std::string append_label() {
    const bool is_text = label_.kind == FeatureKind::bytes && label_.count() > 0;
    if (label_.kind == FeatureKind::floats && label_.count() > 0)
      return "feature " + quoted(question_.label) + " is floats; a label is int64 or bytes";
    if (is_text && label_.count() != 1)
      return "feature " + quoted(question_.label) + " is " + std::to_string(label_.count()) + " texts, not one";
    columns_->labels.insert(columns_->labels.end(), label_.ints.begin(), label_.ints.end());
    columns_->label_starts.push_back(static_cast<int64_t>(columns_->labels.size()));
    columns_->label_texts.append(is_text ? label_.bytes[0] : ByteSpan());
    columns_->has_label_text.push_back(is_text ? 1 : 0);
    return {};
  }

  void note_class() {
    if (label_.ints.size() != 1 || class_name_.bytes.size() != 1) return;
    const ByteSpan bytes = class_name_.bytes[0];
    const std::string_view text(reinterpret_cast<const char*>(bytes.data), bytes.size);
    const auto [known, is_new] = columns_->classes.try_emplace(label_.ints[0], text);
    if (!is_new && known->second != text) columns_->is_one_name_a_class = false;
  }

  static constexpr size_t kOthers = 300;

  const TfrecordQuestion& question_;
  TfrecordColumns* columns_;
  Feature image_, label_, name_, class_name_;
  std::string others_;  // names of features that nobody asked for
};

// Empty, with the length of the data at `offset`; else what is wrong.
std::string read_length(Stream* stream, int64_t offset, int64_t* length) {
  const int64_t left = stream->size() - offset;
  if (left < kHeader) return "is cut: the file ends in its header";
  const uint8_t* const header = stream->at(offset, kHeader);
  if (header == nullptr) return stream->error();
  if (io::masked_crc32c({header, 8}) != read_number(header + 8, 4))
    return "the checksum of its length is wrong: damaged, or no TFRecord";
  const uint64_t size = read_number(header, 8);
  if (size > static_cast<uint64_t>(std::max<int64_t>(left - kHeader - kFooter, 0)))
    return "is cut: it has " + std::to_string(size) + " bytes, the file ends after " + std::to_string(left - kHeader);
  if (size >= kLongestRecord) return "is longer than 2 GiB";
  *length = static_cast<int64_t>(size);
  return {};
}

}  // namespace

void TextRuns::append(ByteSpan bytes) {
  if (bytes.size > 0) text.append(reinterpret_cast<const char*>(bytes.data), bytes.size);
  starts.push_back(static_cast<int64_t>(text.size()));
}

TfrecordColumns scan_tfrecord(ReadAt read, int64_t size, const TfrecordQuestion& question) {
  TfrecordColumns columns;
  Stream stream(std::move(read), size);
  Records records(question, &columns);
  for (int64_t offset = 0; offset < stream.size(); ++columns.records) {
    columns.error_offset = offset;
    int64_t length = 0;
    columns.error = columns.bad.size() == kMostBad ? "is not looked at: too many before it are bad"
                                                   : read_length(&stream, offset, &length);
    if (!columns.error.empty()) break;
    const uint8_t* const data = stream.at(offset + kHeader, length + kFooter);
    if (data == nullptr) {
      columns.error = stream.error();
      break;
    }
    const ByteSpan bytes{data, static_cast<size_t>(length)};
    const bool is_intact = !question.checks_data || io::masked_crc32c(bytes) == read_number(data + length, 4);
    std::string wrong = is_intact ? "" : kWrongData;
    if (is_intact || question.goes_on) {
      const std::string unread = records.append(bytes, offset + kHeader);
      if (wrong.empty() || unread.empty()) wrong += unread;
      else wrong += ", and it " + unread;
      if (!wrong.empty() && question.goes_on) {
        const int64_t row = unread.empty() ? static_cast<int64_t>(columns.offset.size()) - 1 : -1;
        columns.bad.push_back({columns.records, offset, row, std::move(wrong)});
        wrong.clear();
      }
    }
    columns.error = std::move(wrong);
    if (!columns.error.empty()) break;
    offset += kHeader + length + kFooter;
  }
  return columns;
}

}  // namespace fastload::shards
