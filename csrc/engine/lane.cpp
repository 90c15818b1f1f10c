#include "engine/lane.h"

#include <chrono>
#include <cstring>

#include "image/colour.h"
#include "image/geometry.h"
#include "jpeg/end_search.h"

namespace fastload::engine {

namespace {

// What an H200's hardware decoder gave in Pillow's pixels to a level; among other samplings some were off by three.
constexpr int32_t k444 = 11, k420 = 22;
constexpr Status kChanged = {Code::unreadable, "the file changed while it was read"};

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Pixels view(const Pixels& pixels, const Box& box) {
  return {pixels.row(box.y) + 4 * static_cast<ptrdiff_t>(box.x), box.width, box.height, pixels.stride};
}

}  // namespace

StageClock::StageClock(StageTimes* times, Stage stage) : times_(times), stage_(stage), start_ns_(now_ns()) {}

StageClock::~StageClock() { times_->ns[static_cast<int>(stage_)] += now_ns() - start_ns_; }

Pixels PixelBuffer::image(int32_t width, int32_t height) {
  const ptrdiff_t stride = 4 * static_cast<ptrdiff_t>(width);
  return {reserve(static_cast<size_t>(stride) * static_cast<size_t>(height) + kPixelSlack), width, height, stride};
}

Lane::Lane(image::Simd simd) : simd_(simd), resampler_(simd) {}

Status Lane::open(const io::Source& source, int64_t max_pixels) {
  whole_ = adopted_ = false;
  {
    const StageClock clock(&times_, Stage::read);
    jpeg::EndSearch search;
    const Status status = file_.read(source, [&search](ByteSpan so_far) { return search.look(so_far); }, &bytes_);
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
  if (header_.ends_well) return {};
  const StageClock clock(&times_, Stage::decode);
  const Box all = {0, 0, width_, height_};
  pixels_ = {decoded_.reserve(jpeg_.required_bytes(all)), 0, 0, 0};
  const Status status = jpeg_.decode(all, &pixels_);
  whole_ = status.ok();
  return status;
}

Pixels Lane::adopt(int32_t width, int32_t height) {
  jpeg_.close();
  pixels_ = decoded_.image(width, height);
  width_ = width;
  height_ = height;
  whole_ = adopted_ = true;
  return pixels_;
}

Status Lane::draw(const recipe::Recipe& recipe, random::Generator& generator) {
  const StageClock clock(&times_, Stage::draw);
  return recipe::draw(recipe, generator, width_, height_, &plan_);
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

Keep Lane::leave_bytes(const std::shared_ptr<BytePool>& pool, Deferred* out) {
  const Keep why = why_kept();
  if (why != Keep::none) return why;
  if (header_.sampling != k444 && header_.sampling != k420) return Keep::sampling;
  if (!describe(out)) return Keep::transforms;
  out->bytes = PooledBytes(pool, bytes_);
  out->pending = true;
  jpeg_.close();
  return Keep::none;
}

Keep Lane::leave_coefficients(BatchMemory* memory, Slabs* slabs, Deferred* out) {
  const Keep why = why_kept();
  if (why != Keep::none) return why;
  if (!jpeg_.has_coefficients()) return Keep::scan;
  if (!describe(out)) return Keep::transforms;
  out->coefficients = jpeg_.coefficients(plan_.window);
  out->place = slabs->reserve(memory, out->coefficients.size() * sizeof(int16_t));
  return out->place.data == nullptr ? Keep::large : Keep::none;
}

Status Lane::read_coefficients(const Deferred& left) {
  const StageClock clock(&times_, Stage::decode);
  return jpeg_.read_coefficients(left.coefficients, reinterpret_cast<int16_t*>(left.place.data));
}

Status Lane::decode() {
  if (!is_of_plan()) return kChanged;
  if (whole_) return {};
  const StageClock clock(&times_, Stage::decode);
  pixels_ = {decoded_.reserve(jpeg_.required_bytes(plan_.window)), 0, 0, 0};
  return jpeg_.decode(plan_.window, &pixels_);
}

Pixels Lane::run_steps(Pixels pixels) {
  int next = 0;
  for (int i = 0; i < plan_.count; ++i) {
    const recipe::Step& step = plan_.steps[i];
    switch (step.kind) {
      case recipe::StepKind::crop: break;  // `pixels` already is the part that this crop gives
      case recipe::StepKind::flip_horizontal: image::flip_horizontal(pixels); break;
      case recipe::StepKind::flip_vertical: image::flip_vertical(pixels); break;
      case recipe::StepKind::grayscale: image::to_grayscale(pixels); break;
      case recipe::StepKind::resize: {
        const Pixels out = turned_[next].image(step.give.width, step.give.height);
        next = 1 - next;
        resampler_.run({step.in_width, step.in_height, step.out_width, step.out_height, step.filter, step.give}, pixels,
                       out);
        pixels = out;
        break;
      }
      case recipe::StepKind::pad: {
        const Pixels out = turned_[next].image(step.out_width, step.out_height);
        next = 1 - next;
        image::pad(pixels, step.x, step.y, step.pad_mode, step.fill, out);
        pixels = view(out, step.give);
        break;
      }
    }
  }
  return pixels;
}

Status Lane::finish(const Target& target, void* out) {
  if (!is_of_plan()) return kChanged;
  Pixels pixels = whole_ ? view(pixels_, plan_.window) : pixels_;
  {
    const StageClock clock(&times_, Stage::resample);
    pixels = run_steps(pixels);
  }
  jpeg_.close();
  const StageClock clock(&times_, Stage::pack);
  image::pack(pixels, target.values, target.layout, plan_.flip_horizontal, plan_.flip_vertical, out, simd_);
  return {};
}

void Lane::settle() {
  jpeg_.close();
  file_.settle();
  jpeg_.settle();
  resampler_.settle();
  decoded_.settle();
  for (PixelBuffer& turned : turned_) turned.settle();
}

}  // namespace fastload::engine
