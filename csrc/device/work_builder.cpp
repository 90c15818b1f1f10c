#include "device/work_builder.h"

#include <algorithm>
#include <cstring>

#include "device/code_tables.h"

namespace fastload::device {

namespace {

constexpr size_t kAlignment = 16;
constexpr int32_t kSide = 8;
constexpr uint8_t kEnd[] = {0xFF, 0xD9};

Weights weights_of(const recipe::AxisForm& form) {
  if (form.is_copy) return kCopied;
  const bool is_whole = form.axis.begin == 0 && form.axis.end == static_cast<float>(form.axis.in_size);
  if (!is_whole) return kGiven;
  switch (form.filter) {
    case image::Filter::box: return kBox;
    case image::Filter::bilinear: return kBilinear;
    case image::Filter::bicubic: return kBicubic;
    case image::Filter::nearest:
    case image::Filter::hamming:
    case image::Filter::lanczos: break;  // of sums and sines, which are this machine's
  }
  return kGiven;
}

size_t bytes_of(const PassWork& pass) {
  return sizeof(int32_t) * static_cast<size_t>(pass.outputs) * (1 + static_cast<size_t>(pass.taps));
}

}  // namespace

uint64_t WorkBuilder::in_block(size_t bytes) {
  const size_t at = block_;
  block_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return at;
}

uint64_t WorkBuilder::in_scratch(size_t bytes) {
  const size_t at = scratch_;
  scratch_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return at;
}

WorkBuilder::WorkBuilder(const recipe::Plan& plan, const recipe::AxisForm* forms, const jpeg::Coefficients& planes, int32_t sampling)
    : forms_(forms) {
  work_.planes = planes.count;
  work_.across = sampling / 10;
  work_.down = sampling % 10;
  work_.x = plan.window.x;
  work_.y = plan.window.y;
  work_.width = plan.window.width;
  work_.height = plan.window.height;
  work_.flip_horizontal = plan.flip_horizontal;
  work_.flip_vertical = plan.flip_vertical;
  for (int i = 0; i < planes.count; ++i) {
    const jpeg::Plane& from = planes.planes[i];
    const size_t samples = size_t{jpeg::kBlockSize} * static_cast<size_t>(from.columns) * static_cast<size_t>(from.rows);
    work_.plane[i] = {from.x, from.y, from.columns, from.rows, from.width, from.height, 0, in_scratch(samples)};
  }
  for (int i = 0; i < 2; ++i) describe_pass(forms[i], &work_.pass[i]);
  const PassWork& first = work_.pass[0];
  const int32_t outputs = first.outputs, lines = first.lines;
  work_.between = in_scratch(size_t{4} * static_cast<size_t>(outputs) * static_cast<size_t>(lines));
}

void WorkBuilder::describe_pass(const recipe::AxisForm& form, PassWork* out) {
  *out = {form.vertical, form.lines, form.span, form.outputs, form.is_copy ? 1 : form.taps, weights_of(form), form.axis.in_size,
          form.axis.out_size, form.first, form.origin, 0};
  out->weights = out->weights_of == kGiven ? in_block(bytes_of(*out)) : in_scratch(bytes_of(*out));
}

void WorkBuilder::take_coefficients(const jpeg::Coefficients& planes) {
  work_.way = kCoefficients;
  uint64_t numbers = numbers_ = in_block(planes.size() * sizeof(int16_t));
  for (int i = 0; i < planes.count; ++i) {
    work_.plane[i].numbers = numbers;
    numbers += planes.planes[i].size() * sizeof(int16_t);
  }
}

bool WorkBuilder::take_codes(const jpeg::EntryRecord& record, const jpeg::Frame& frame) {
  const jpeg::ScanLayout& layout = record.layout();
  const jpeg::EntryRecord::Packing packing = record.packing();
  CodesWork& codes = work_.codes;
  record_ = &record;
  work_.way = kCodes;
  codes.restart_interval = frame.restart_interval;
  codes.every = layout.every;
  codes.per_row = layout.mcus_per_row;
  codes.mcu_rows = layout.mcu_rows;
  for (int i = 0; i < frame.count; ++i) {
    const jpeg::FrameComponent& one = frame.components[i];
    codes.wide[i] = one.across;
    codes.tall[i] = one.down;
    codes.wide_quantizers |= (one.is_wide ? 1 : 0) << i;
    codes.dc_widths[i] = packing.dc_widths[i];
    for (int y = 0; y < one.down; ++y) {
      for (int x = 0; x < one.across; ++x, ++codes.mcu_blocks) {
        codes.block_plane[codes.mcu_blocks] = i;
        codes.block_x[codes.mcu_blocks] = x;
        codes.block_y[codes.mcu_blocks] = y;
      }
    }
  }
  codes.bit_width = packing.bit_width;
  codes.point_width = packing.point_width;
  const PlaneWork& plane = work_.plane[0];
  codes.left = plane.x / kSide / codes.wide[0];
  codes.top = plane.y / kSide / codes.tall[0];
  codes.right = codes.left + plane.columns / codes.wide[0];
  codes.bottom = codes.top + plane.rows / codes.tall[0];
  if (codes.right > codes.per_row || codes.bottom > codes.mcu_rows) return false;
  const size_t from = record.bit(codes.top, codes.left / codes.every) / 8;
  const size_t end = record.bit(codes.bottom - 1, (codes.right - 1) / codes.every + 1) / 8 + size_t{2};  // a zero may belong to the last
  const size_t until = std::min<size_t>(end, layout.scan_bytes);
  if (until <= from) return false;
  piece_ = {layout.scan_at + from, until - from};
  codes.begin = static_cast<uint32_t>(from);
  codes.size = static_cast<uint32_t>(until - from);
  codes.codes = numbers_ = in_block(piece_.size + kCodesSlack);
  record_at_ = in_block(record.bytes().size + kCodesSlack);
  codes.rows = record_at_ + packing.rows;
  codes.points = record_at_ + packing.points;
  const uint64_t header = record_at_ + packing.header;
  for (int i = 0; i < 2 * (frame.count == 1 ? 1 : 2); ++i) codes.tables[i] = header + frame.codes[i];
  for (int i = 0; i < frame.count; ++i) codes.quantizers[i] = header + frame.components[i].quantizers;
  codes.lookups = in_scratch(sizeof(CodeTables));
  return true;
}

uint8_t* WorkBuilder::write(uint64_t block_at, uint8_t* block, uint64_t scratch_at, image::Taps* taps, ImageWork* out) {
  for (int i = 0; i < 2; ++i) {
    if (work_.pass[i].weights_of != kGiven) continue;
    const recipe::AxisPass pass = recipe::pass_of(forms_[i], taps);
    uint8_t* const to = block + work_.pass[i].weights;
    const size_t starts = pass.starts.size() * sizeof(int32_t);
    std::memcpy(to, pass.starts.data(), starts);
    std::memcpy(to + starts, pass.weights.data(), pass.weights.size() * sizeof(int32_t));
  }
  if (work_.way == kCodes) {
    std::memcpy(block + record_at_, record_->bytes().data, record_->bytes().size);
    std::memset(block + record_at_ + record_->bytes().size, 0, kCodesSlack);
    std::memcpy(block + numbers_ + piece_.size, kEnd, sizeof kEnd);
    std::memset(block + numbers_ + piece_.size + sizeof kEnd, 0, kCodesSlack - sizeof kEnd);
  }
  *out = work_;
  out->between += scratch_at;
  for (PlaneWork& plane : out->plane) {
    plane.numbers += block_at;
    plane.samples += scratch_at;
  }
  for (PassWork& pass : out->pass) pass.weights += pass.weights_of == kGiven ? block_at : scratch_at;
  CodesWork& codes = out->codes;
  for (uint64_t* place : {&codes.codes, &codes.rows, &codes.points}) *place += block_at;
  for (uint64_t& table : codes.tables) table += block_at;
  for (uint64_t& table : codes.quantizers) table += block_at;
  codes.lookups += scratch_at;
  return block + numbers_;
}

}  // namespace fastload::device
