#include "engine/lane.h"

#include <new>

#include "image/colour.h"
#include "image/geometry.h"
#include "jpeg/end_search.h"

namespace fastload::engine {

namespace {

// What an H200's hardware decoder gave in Pillow's pixels to a level; among other samplings some were off by three.
constexpr int32_t k444 = 11, k420 = 22;
// What is no JPEG is read to its end up to here, to be kept for the other decoder.
constexpr size_t kMostForeign = size_t{1} << 26;

Pixels view(const Pixels& pixels, const Box& box) {
  return {pixels.row(box.y) + 4 * static_cast<ptrdiff_t>(box.x), box.width, box.height, pixels.stride};
}

}  // namespace

Lane::Lane(image::Simd simd) : simd_(simd), resampler_(simd) {}

Status Lane::open(const io::Source& source, int64_t max_pixels, const cache::Lookup& lookup) {
  state_ = LaneState::empty;
  whole_ = adopted_ = false;
  cached_ = {};
  max_pixels_ = max_pixels;
  {
    const StageClock clock(&times_, Stage::read);
    io::Source from = source;
    if (keeping_.find(lookup, source)) {
      cached_ = keeping_.pixels();
      if (cached_.data != nullptr && is_allowed(cached_.width, cached_.height)) {
        width_ = cached_.width;
        height_ = cached_.height;
        state_ = LaneState::opened;
        return {};
      }
      cached_ = {};
      if (keeping_.bytes().data != nullptr) {
        from = io::Source{};
        from.kind = io::SourceKind::memory;
        from.memory = keeping_.bytes();
      }
    }
    jpeg::EndSearch search;
    const auto judge = [this, &search](ByteSpan so_far) {
      const Rest rest = search.look(so_far);
      const bool is_kept = rest == Rest::foreign && so_far.size < kMostForeign && keeping_.wants_bytes(so_far.size);
      return is_kept ? Rest::wanted : rest;
    };
    const Status status = file_.read(from, judge, &bytes_);
    if (!status.ok()) return status;
  }
  header_ = jpeg::Header{};
  {
    const StageClock clock(&times_, Stage::header);
    const Status status = jpeg_.open(bytes_, max_pixels, &header_);
    if (!status.ok()) return status;
  }
  width_ = header_.width;
  height_ = header_.height;
  if (header_.ends_well) {
    state_ = LaneState::opened;
    return {};
  }
  const StageClock clock(&times_, Stage::decode);
  const Box all = {0, 0, width_, height_};
  pixels_ = {decoded_.reserve(jpeg_.required_bytes(all)), 0, 0, 0};
  const Status status = jpeg_.decode(all, &pixels_);
  whole_ = status.ok();
  if (whole_) state_ = LaneState::opened;
  return status;
}

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

Status Lane::defer_coefficients(Slabs* slabs, Deferred* out, Keep* why) {
  const Status status = check(state_, LaneCall::defer);
  if (!status.ok()) return status;
  *why = why_kept();
  if (*why == Keep::none && !jpeg_.has_coefficients()) *why = Keep::scan;
  if (*why == Keep::none && !describe(out)) *why = Keep::transforms;
  if (*why != Keep::none) return {};
  out->coefficients = jpeg_.coefficients(plan_.window);
  out->place = slabs->reserve(out->coefficients.size() * sizeof(int16_t));
  if (out->place.data == nullptr) {
    *why = Keep::large;
  } else {
    state_ = LaneState::coded;
  }
  return {};
}

Status Lane::read_coefficients(const Deferred& deferred) {
  Status status = check(state_, LaneCall::read_coefficients);
  if (!status.ok()) return status;
  const StageClock clock(&times_, Stage::decode);
  state_ = LaneState::planned;
  status = jpeg_.read_coefficients(deferred.coefficients, reinterpret_cast<int16_t*>(deferred.place.data));
  if (status.ok()) keep();
  return status;
}

Status Lane::decode_window() {
  const StageClock clock(&times_, Stage::decode);
  if (cached_.data != nullptr) {
    pixels_ = decoded_.image(plan_.window.width, plan_.window.height);
    image::from_compact(cached_, plan_.window, pixels_, simd_);
    return {};
  }
  const bool all = keeping_.wants_pixels(width_, height_);
  const Box window = all ? Box{0, 0, width_, height_} : plan_.window;
  pixels_ = {decoded_.reserve(jpeg_.required_bytes(window)), 0, 0, 0};
  const Status status = jpeg_.decode(window, &pixels_);
  whole_ = all && status.ok();
  return status;
}

void Lane::keep() noexcept {
  const StageClock clock(&times_, Stage::read);
  try {
    if (whole_ && is_allowed(width_, height_)) keeping_.keep(pixels_);
    if (!adopted_ || file_.is_whole()) keeping_.keep(bytes_);
  } catch (const std::bad_alloc&) {  // the sample is there all the same
  }
}

Status Lane::decode() {
  Status status = check(state_, LaneCall::decode);
  if (!status.ok()) return status;
  if (!whole_ && state_ == LaneState::drawn) status = decode_window();
  state_ = status.ok() ? LaneState::decoded : LaneState::planned;
  return status;
}

Pixels Lane::run_steps(Pixels pixels) {
  int next = 0;
  for (int i = 0; i < plan_.count; ++i) {
    const recipe::Step& step = plan_.steps[i];
    switch (step.kind) {
      case recipe::StepKind::crop: break;  // `pixels` already is the part that is wanted
      case recipe::StepKind::flip_horizontal: image::flip_horizontal(pixels); break;
      case recipe::StepKind::flip_vertical: image::flip_vertical(pixels); break;
      case recipe::StepKind::grayscale: image::to_grayscale(pixels); break;
      case recipe::StepKind::resize: {
        const Pixels out = turned_[next].image(step.want.width, step.want.height);
        next = 1 - next;
        resampler_.run({step.in_width, step.in_height, step.out_width, step.out_height, step.filter, step.want}, pixels,
                       out);
        pixels = out;
        break;
      }
      case recipe::StepKind::pad: {
        const Pixels out = turned_[next].image(step.out_width, step.out_height);
        next = 1 - next;
        image::pad(pixels, step.x, step.y, step.pad_mode, step.fill, out);
        pixels = view(out, step.want);
        break;
      }
    }
  }
  return pixels;
}

Status Lane::finish(const Target& target, void* out) {
  const Status status = check(state_, LaneCall::finish);
  if (!status.ok()) return status;
  keep();
  Pixels pixels = whole_ ? view(pixels_, plan_.window) : pixels_;
  {
    const StageClock clock(&times_, Stage::resample);
    pixels = run_steps(pixels);
  }
  jpeg_.close();
  const StageClock clock(&times_, Stage::pack);
  image::pack(pixels, target.values, target.layout, plan_.flip_horizontal, plan_.flip_vertical, out, simd_);
  state_ = LaneState::empty;
  return {};
}

void Lane::settle() {
  state_ = LaneState::empty;
  jpeg_.close();
  file_.settle();
  jpeg_.settle();
  resampler_.settle();
  decoded_.settle();
  keeping_.settle();
  for (PixelBuffer& turned : turned_) turned.settle();
}

}  // namespace fastload::engine
