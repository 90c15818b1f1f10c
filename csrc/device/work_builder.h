// device/work_builder.h: a drawn sample whose pixels a GPU is to make -> its ImageWork, and what of it lies in the batch's block.
//
// First it says how much memory the image takes, then it is told where that lies, and writes what is known: all but the codes or the
// coefficients themselves. One thread; what it was given lives as long.
#pragma once

#include <cstddef>
#include <cstdint>

#include "device/image_work.h"
#include "image/taps.h"
#include "jpeg/coefficients.h"
#include "jpeg/decode.h"
#include "jpeg/frame.h"
#include "recipe/separable.h"

namespace fastload::device {

class WorkBuilder {
 public:
  // The window of `plan`, of planes with these blocks; `forms` are the plan's.
  WorkBuilder(const recipe::Plan& plan, const recipe::AxisForm* forms, const jpeg::Coefficients& planes, int32_t sampling);
  // Then one of these: the blocks come as coefficients, or as codes, by their record. False: it says of these what cannot be.
  void take_coefficients(const jpeg::Coefficients& planes);
  bool take_codes(const jpeg::EntryRecord& record, const jpeg::Frame& frame);

  // What part of the encoded image is wanted then.
  const jpeg::Piece& piece() const { return piece_; }

  size_t block_bytes() const { return block_; }
  size_t scratch_bytes() const { return scratch_; }

  // `block`: memory at the place `block_at` of the batch's block, a multiple of 128 as `scratch_at`. Where the coefficients or the codes
  // belong; behind the latter there is a marker already.
  uint8_t* write(uint64_t block_at, uint8_t* block, uint64_t scratch_at, image::Taps* taps, ImageWork* out);

 private:
  void describe_pass(const recipe::AxisForm& form, PassWork* out);
  // Room for so many bytes.
  uint64_t in_block(size_t bytes);
  uint64_t in_scratch(size_t bytes);

  const recipe::AxisForm* const forms_;
  const jpeg::EntryRecord* record_ = nullptr;
  jpeg::Piece piece_;
  ImageWork work_ = {};
  uint64_t numbers_ = 0;    // of the coefficients or the codes, from the image's part of the block on
  uint64_t record_at_ = 0;  // the same of the record
  size_t block_ = 0, scratch_ = 0;
};

}  // namespace fastload::device
