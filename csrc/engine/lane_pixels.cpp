// engine/lane_pixels.cpp: how a lane comes to its pixels: by a cache, by entry points, or by all bytes of a file.
#include <new>

#include "engine/lane.h"
#include "jpeg/end_search.h"

namespace fastload::engine {

namespace {

// What is no JPEG is read to its end up to here, to be kept for the other decoder.
constexpr size_t kMostForeign = size_t{1} << 26;
// Entry points are noted where not more than this part of the codes would have to be read for it alone.
constexpr double kMostBelow = 0.125;
// Where reading codes is all that is done here, less: else it is felt.
constexpr double kMostBelowOfCodes = 0.03;

}  // namespace

Status Lane::open(const io::Source& source, int64_t max_pixels, const cache::Lookup& lookup,
                  const entries::Store* entries, bool defers) {
  state_ = LaneState::empty;
  whole_ = adopted_ = has_frame_ = false;
  cached_ = {};
  max_pixels_ = max_pixels;
  {
    const StageClock clock(&times_, Stage::read);
    if (keeping_.find(lookup, source)) {
      cached_ = keeping_.pixels();
      if (cached_.data != nullptr && is_allowed(cached_.width, cached_.height)) {
        entries_.find(nullptr, source, {});
        width_ = cached_.width;
        height_ = cached_.height;
        state_ = LaneState::opened;
        return {};
      }
      cached_ = {};
    }
  }
  // A cache that still fills wants all of a file, or of its pixels: then no window is entered.
  const bool fills = lookup.cache != nullptr && !keeping_.was_found() && !lookup.cache->store.is_full();
  const bool wants_pixels = fills && lookup.cache->kind == cache::Kind::decoded;
  return enter(wants_pixels ? nullptr : entries, source, defers, fills) ? Status{} : open_bytes(source);
}

bool Lane::enter(const entries::Store* entries, const io::Source& source, bool defers, bool wants_all) {
  {
    const StageClock clock(&times_, Stage::read);
    if (!entries_.find(entries, source, keeping_.bytes(), wants_all)) return false;
  }
  const StageClock clock(&times_, Stage::header);
  has_frame_ = defers && read_frame();
  if (!has_frame_ && !open_entered().ok()) {
    entries_.refuse();
    return false;
  }
  bytes_ = wants_all ? entries_.whole() : ByteSpan{};
  width_ = header_.width;
  height_ = header_.height;
  state_ = LaneState::opened;
  return true;
}

bool Lane::read_frame() {
  if (!frame_.read(entries_.record()) || !is_allowed(frame_.width, frame_.height)) return false;
  header_ = {frame_.width, frame_.height, true, false, true, frame_.sampling};
  return true;
}

Status Lane::open_entered() {
  has_frame_ = false;
  header_ = jpeg::Header{};
  return jpeg_.open(entries_.record(), max_pixels_, &header_);
}

Status Lane::open_bytes(io::Source source) {
  if (keeping_.bytes().data != nullptr) {
    source = io::Source{};
    source.kind = io::SourceKind::memory;
    source.memory = keeping_.bytes();
  }
  {
    const StageClock clock(&times_, Stage::read);
    jpeg::EndSearch search;
    const auto judge = [this, &search](ByteSpan so_far) {
      const Rest rest = search.look(so_far);
      const bool is_kept = rest == Rest::foreign && so_far.size < kMostForeign && keeping_.wants_bytes(so_far.size);
      return is_kept ? Rest::wanted : rest;
    };
    const Status status = file_.read(source, judge, &bytes_);
    if (!status.ok()) return status;
  }
  header_ = jpeg::Header{};
  {
    const StageClock clock(&times_, Stage::header);
    const Status status = jpeg_.open(bytes_, max_pixels_, &header_);
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

Status Lane::open(const image::Compact& image) {
  state_ = LaneState::empty;
  whole_ = adopted_ = has_frame_ = false;
  keeping_.find({}, {});
  entries_.find(nullptr, {}, {});
  jpeg_.close();
  cached_ = image;
  width_ = image.width;
  height_ = image.height;
  state_ = LaneState::opened;
  return {};
}

Status Lane::decode_window() {
  if (!entries_.is_used()) return decode_bytes();
  if (decode_entered().ok()) return {};
  // In the way of a file without entry points.
  entries_.refuse();
  Status status = open_bytes(entries_.source());
  if (status.ok() && if_of_plan(LaneState::drawn) != LaneState::drawn) {
    status = {Code::unreadable, "the file has changed while it was read"};
  }
  return status.ok() && !whole_ ? decode_bytes() : status;
}

Status Lane::decode_entered() {
  if (has_frame_) {
    const StageClock clock(&times_, Stage::header);
    const Status status = open_entered();
    if (!status.ok()) return status;
  }
  {
    const StageClock clock(&times_, Stage::read);
    if (!entries_.give(jpeg_.codes(plan_.window), &jpeg_)) return {Code::unreadable, "the file has changed"};
  }
  const StageClock clock(&times_, Stage::decode);
  pixels_ = {decoded_.reserve(jpeg_.required_bytes(plan_.window)), 0, 0, 0};
  return jpeg_.decode(plan_.window, &pixels_);
}

bool Lane::may_note(Box window, bool reads_codes_alone) {
  const double most = reads_codes_alone ? kMostBelowOfCodes : kMostBelow;
  const bool may = entries_.wants_record() && file_.is_whole() && jpeg_.codes_below(window) <= most;
  if (may) jpeg_.note(entries_.every());
  return may;
}

Status Lane::decode_bytes() {
  const StageClock clock(&times_, Stage::decode);
  if (cached_.data != nullptr) {
    pixels_ = decoded_.image(plan_.window.width, plan_.window.height);
    image::from_compact(cached_, plan_.window, pixels_, simd_);
    return {};
  }
  const bool all = keeping_.wants_pixels(width_, height_);
  const Box window = all ? Box{0, 0, width_, height_} : plan_.window;
  pixels_ = {decoded_.reserve(jpeg_.required_bytes(window)), 0, 0, 0};
  const bool notes = may_note(window, false);
  const Status status = jpeg_.decode(window, &pixels_);
  whole_ = all && status.ok();
  if (notes && status.ok()) entries_.keep(&jpeg_, bytes_);
  return status;
}

void Lane::keep() noexcept {
  const StageClock clock(&times_, Stage::read);
  try {
    if (whole_ && is_allowed(width_, height_)) keeping_.keep(pixels_);
    if (bytes_.data != nullptr && (!adopted_ || file_.is_whole())) keeping_.keep(bytes_);
  } catch (const std::bad_alloc&) {  // the sample is there all the same
  }
}

}  // namespace fastload::engine
