#include "engine/lane.h"

#include <cstring>

#include "device/work_builder.h"
#include "image/colour.h"
#include "image/erase.h"
#include "image/geometry.h"
#include "image/recolour.h"
#include "image/warp.h"

namespace fastload::engine {

namespace {

// What an H200's hardware decoder gave in Pillow's pixels to a level; among other samplings some were off by three.
constexpr int32_t k444 = 11, k420 = 22;

Pixels view(const Pixels& pixels, const Box& box) {
  return {pixels.row(box.y) + 4 * static_cast<ptrdiff_t>(box.x), box.width, box.height, pixels.stride};
}

// Whether a step writes to the pixels that it is given.
bool changes_in_place(const recipe::Step& step) {
  switch (step.kind) {
    case recipe::StepKind::flip_horizontal:
    case recipe::StepKind::flip_vertical:
    case recipe::StepKind::grayscale:
    case recipe::StepKind::box_blur:
    case recipe::StepKind::mix: return true;
    case recipe::StepKind::recolour: return step.recolour.change != image::Change::sharpness;
    case recipe::StepKind::crop:
    case recipe::StepKind::transpose:
    case recipe::StepKind::gaussian_blur:
    case recipe::StepKind::resize:
    case recipe::StepKind::pad:
    case recipe::StepKind::warp: return false;
  }
  return true;
}

}  // namespace

Lane::Lane(image::Simd simd) : simd_(simd), resampler_(simd), mixer_(simd) { jpeg_.use(simd); }

bool Lane::is_allowed(int32_t width, int32_t height) const {
  return max_pixels_ == 0 || static_cast<int64_t>(width) * height <= max_pixels_;
}

LaneState Lane::if_of_plan(LaneState state) const {
  return width_ == plan_.image_width && height_ == plan_.image_height ? state : LaneState::mismatched;
}

Pixels Lane::adopt(int32_t width, int32_t height) {
  const bool planned = has_plan(state_);
  state_ = planned ? LaneState::planned : LaneState::empty;  // should there be no memory
  jpeg_.close();
  pixels_ = decoded_.image(width, height);
  width_ = width;
  height_ = height;
  cached_ = {};
  whole_ = adopted_ = true;
  left_ = top_ = 0;
  state_ = planned ? if_of_plan(LaneState::decoded) : LaneState::opened;
  return pixels_;
}

Status Lane::draw(const recipe::Recipe& recipe, random::Generator& generator) {
  Status status = check(state_, LaneCall::plan);
  if (!status.ok()) return status;
  const StageClock clock(&times_, Stage::draw);
  state_ = LaneState::empty;
  status = recipe::draw(recipe, generator, width_, height_, &plan_);
  if (status.ok()) state_ = LaneState::drawn;
  return status;
}

Status Lane::use(const recipe::Plan& plan) {
  const Status status = check(state_, LaneCall::plan);
  if (!status.ok()) return status;
  plan_ = plan;
  state_ = if_of_plan(LaneState::drawn);
  return {};
}

Keep Lane::why_kept() const {
  if (adopted_) return Keep::not_plain;
  if (header_.several_scans) return Keep::progressive;
  if (!header_.is_ycc) return Keep::colour;
  if (whole_) return Keep::cut;
  if (static_cast<int64_t>(width_) * height_ > kMaxDeferredPixels) return Keep::large;
  return Keep::none;
}

bool Lane::describe(Deferred* out) {
  const StageClock clock(&times_, Stage::draw);
  if (!recipe::two_passes(plan_, &taps_, out->passes)) return false;
  out->width = width_;
  out->height = height_;
  out->sampling = header_.sampling;
  out->plan = plan_;
  return true;
}

Status Lane::defer_bytes(const std::shared_ptr<BytePool>& pool, Deferred* out, Keep* why) {
  const Status status = check(state_, LaneCall::defer);
  if (!status.ok()) return status;
  *why = why_kept();
  if (*why == Keep::none && header_.sampling != k444 && header_.sampling != k420) *why = Keep::sampling;
  if (*why == Keep::none && !describe(out)) *why = Keep::transforms;
  if (*why != Keep::none) return {};
  out->bytes = PooledBytes(pool, bytes_);
  keep();
  jpeg_.close();
  state_ = LaneState::planned;
  return {};
}

Status Lane::defer_window(Slabs* slabs, Works* works, size_t slot, Deferred* out, Keep* why) {
  const Status status = check(state_, LaneCall::defer);
  if (!status.ok()) return status;
  *why = why_kept();
  if (*why == Keep::none && !has_frame_ && !jpeg_.has_coefficients()) *why = Keep::scan;
  recipe::AxisForm forms[2];
  if (*why == Keep::none && !recipe::two_forms(plan_, forms)) *why = Keep::transforms;
  if (*why != Keep::none) return {};
  const StageClock clock(&times_, Stage::draw);
  out->coefficients = has_frame_ ? frame_.planes(plan_.window) : jpeg_.coefficients(plan_.window);
  device::WorkBuilder builder(plan_, forms, out->coefficients, header_.sampling);
  if (!has_frame_) {
    builder.take_coefficients(out->coefficients);
  } else if (!builder.take_codes(entries_.record(), frame_)) {
    *why = Keep::scan;
    return {};
  }
  Works::Room room;
  if (!works->reserve(slabs, builder.block_bytes(), builder.scratch_bytes(), &room)) {
    *why = Keep::large;
    return {};
  }
  out->numbers = builder.write(room.block_at, room.block, room.scratch_at, &taps_, &works->of(slot));
  out->has_codes = has_frame_;
  out->piece = builder.piece();
  out->width = width_;
  out->height = height_;
  out->sampling = header_.sampling;
  out->plan = plan_;
  state_ = LaneState::coded;
  return {};
}

Status Lane::read_window(const Deferred& deferred) {
  const Status status = check(state_, LaneCall::read_window);
  if (!status.ok()) return status;
  state_ = LaneState::drawn;  // where this fails
  if (deferred.has_codes) {
    const StageClock clock(&times_, Stage::read);
    if (!entries_.copy(deferred.piece, deferred.numbers)) return {Code::not_native, "the file has changed while it was read"};
    keep();
  } else {
    const Status read = read_coefficients(deferred);
    if (!read.ok()) return read;
  }
  state_ = LaneState::planned;
  return {};
}

Status Lane::read_coefficients(const Deferred& deferred) {
  if (entries_.is_used()) {
    const StageClock clock(&times_, Stage::read);
    if (!entries_.give(jpeg_.codes(deferred.coefficients), &jpeg_)) {
      return {Code::not_native, "the file has changed while it was read"};
    }
  }
  const StageClock clock(&times_, Stage::decode);
  const bool notes = may_note(plan_.window, true);
  const Status status = jpeg_.read_coefficients(deferred.coefficients, reinterpret_cast<int16_t*>(deferred.numbers));
  if (notes && status.ok()) entries_.keep(&jpeg_, bytes_);
  if (status.ok()) keep();
  return status;
}

Status Lane::decode() {
  Status status = check(state_, LaneCall::decode);
  if (!status.ok()) return status;
  if (!whole_ && state_ == LaneState::drawn) status = decode_window();
  state_ = status.ok() ? LaneState::decoded : LaneState::planned;
  left_ = whole_ ? 0 : plan_.window.x;
  top_ = whole_ ? 0 : plan_.window.y;
  return status;
}

Pixels Lane::first_pixels(bool kept) {
  const Box& window = plan_.window;
  const Pixels found = view(pixels_, {window.x - left_, window.y - top_, window.width, window.height});
  int first = 0;
  while (first < plan_.count && plan_.steps[first].kind == recipe::StepKind::crop) ++first;
  if (!kept || first == plan_.count || !changes_in_place(plan_.steps[first])) return found;
  const Pixels own = turned_[1].image(window.width, window.height);
  for (int32_t y = 0; y < own.height; ++y) std::memcpy(own.row(y), found.row(y), 4 * static_cast<size_t>(own.width));
  return own;
}

Pixels Lane::run_steps(bool kept) {
  StepClock clock(&times_);
  Pixels pixels = first_pixels(kept);
  int next = 0;
  for (int i = 0; i < plan_.count; ++i) {
    const recipe::Step& step = plan_.steps[i];
    switch (step.kind) {
      case recipe::StepKind::crop: break;  // `pixels` already is the part that is wanted
      case recipe::StepKind::flip_horizontal: image::flip_horizontal(pixels); break;
      case recipe::StepKind::flip_vertical: image::flip_vertical(pixels); break;
      case recipe::StepKind::transpose: {
        const Pixels out = turned_[next].image(pixels.height, pixels.width);
        next = 1 - next;
        image::transpose(pixels, out);
        pixels = out;
        break;
      }
      case recipe::StepKind::grayscale: image::to_grayscale(pixels, simd_); break;
      case recipe::StepKind::recolour: {
        const Box want = {step.want.x - step.need.x, step.want.y - step.need.y, step.want.width, step.want.height};
        if (step.recolour.change != image::Change::sharpness) {
          image::recolour(step.recolour, pixels, want, simd_);
          pixels = view(pixels, want);
          break;
        }
        const Pixels out = turned_[next].image(want.width, want.height);
        next = 1 - next;
        image::sharpen(step.recolour.factor, pixels, step.want, step.in_width, step.in_height, out, simd_);
        pixels = out;
        break;
      }
      case recipe::StepKind::gaussian_blur: {
        const Pixels out = turned_[next].image(step.want.width, step.want.height);
        next = 1 - next;
        image::gaussian_blur(step.blur, pixels, step.want, step.in_width, step.in_height, out, &scratch_, simd_);
        pixels = out;
        break;
      }
      case recipe::StepKind::box_blur: {
        image::box_blur(step.box_blur, pixels, &scratch_, simd_);
        pixels = view(pixels, {step.want.x - step.need.x, step.want.y - step.need.y, step.want.width, step.want.height});
        break;
      }
      case recipe::StepKind::resize: {
        const Pixels out = turned_[next].image(step.want.width, step.want.height);
        next = 1 - next;
        resampler_.run(recipe::resize_of(step, step.want), pixels, out);
        pixels = out;
        break;
      }
      case recipe::StepKind::mix:
        mixer_.run(*plan_.mixes[static_cast<size_t>(step.mix)], pixels);
        pixels = view(pixels, step.want);
        break;
      case recipe::StepKind::pad: {
        const Pixels out = turned_[next].image(step.out_width, step.out_height);
        next = 1 - next;
        image::pad(pixels, step.x, step.y, step.pad_mode, step.fill, out);
        pixels = view(out, step.want);
        break;
      }
      case recipe::StepKind::warp: {
        const Pixels out = turned_[next].image(step.want.width, step.want.height);
        next = 1 - next;
        image::Warp warp = step.warp;
        warp.region = step.want;
        image::warp(warp, pixels, out, simd_);
        pixels = out;
        break;
      }
    }
    clock.end_step(step.stage);
  }
  return pixels;
}

Status Lane::finish(const Target& target, void* out) {
  const Status status = check(state_, LaneCall::finish);
  if (!status.ok()) return status;
  keep();
  const Pixels pixels = run_steps();
  jpeg_.close();
  state_ = LaneState::empty;
  return pack(pixels, target, out);
}

Status Lane::finish_another(const recipe::Plan& plan, const Target& target, void* out) {
  const Status status = check(state_, LaneCall::finish);
  if (!status.ok()) return status;
  const Box& window = plan.window;
  const bool is_within = window.x >= left_ && window.y >= top_ && window.x + window.width <= left_ + pixels_.width &&
                         window.y + window.height <= top_ + pixels_.height;
  if (plan.image_width != width_ || plan.image_height != height_ || !is_within) {
    return {Code::transform, "a plan for other pixels than those that were decoded"};
  }
  plan_ = plan;
  return pack(run_steps(true), target, out);
}

Status Lane::pack(const Pixels& pixels, const Target& target, void* out) {
  {
    const StageClock clock(&times_, Stage::pack);
    image::pack(pixels, target.values, target.layout, plan_.flip_horizontal, plan_.flip_vertical, out, simd_);
  }
  return erase(target, static_cast<uint8_t*>(out));
}

Status Lane::erase(const Target& target, uint8_t* out) {
  constexpr Status kNothing = {Code::transform, "nothing to erase with"};
  const int32_t channels = target.values.channels;
  const image::Finished sample = {out, plan_.width, plan_.height, channels, target.element_bytes, target.layout};
  const size_t bytes = static_cast<size_t>(channels) * target.element_bytes;
  StepClock clock(&times_);
  for (const recipe::Erasure& erasure : plan_.erasures) {
    const Box& box = erasure.box;
    if (erasure.noise == nullptr) {
      const size_t first = static_cast<size_t>(erasure.values) * bytes;
      if (first + bytes > target.erased.size()) return kNothing;
      image::fill(sample, box, target.erased.data() + first);
      clock.end_step(erasure.stage);
      continue;
    }
    if (!target.noise) return kNothing;
    const size_t pixels = erasure.is_plain ? 1 : static_cast<size_t>(box.width) * static_cast<size_t>(box.height);
    if (pixels == 0) continue;
    const size_t count = static_cast<size_t>(channels) * pixels;
    uint8_t* const noise = scratch_.reserve(count * target.element_bytes);
    target.noise(*erasure.noise, count, noise);
    if (erasure.is_plain) {
      image::fill(sample, box, noise);
    } else {
      image::paste(sample, box, noise, erasure.flipped_horizontal, erasure.flipped_vertical);
    }
    clock.end_step(erasure.stage);
  }
  return {};
}

Status Lane::finish_rgbx(uint8_t fourth, uint8_t* out) {
  const Status status = check(state_, LaneCall::finish);
  if (!status.ok()) return status;
  if (!plan_.erasures.empty()) return {Code::transform, "an image has nothing to erase with"};
  const Pixels pixels = run_steps();
  jpeg_.close();
  const StageClock clock(&times_, Stage::pack);
  if (plan_.flip_horizontal) image::flip_horizontal(pixels);
  if (plan_.flip_vertical) image::flip_vertical(pixels);
  image::with_fourth(pixels, fourth, out);
  state_ = LaneState::empty;
  return {};
}

void Lane::settle() {
  state_ = LaneState::empty;
  jpeg_.close();
  file_.settle();
  jpeg_.settle();
  resampler_.settle();
  mixer_.settle();
  decoded_.settle();
  scratch_.settle();
  keeping_.settle();
  entries_.settle();
  for (PixelBuffer& turned : turned_) turned.settle();
}

}  // namespace fastload::engine
