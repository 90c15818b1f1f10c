// engine/lane.h: one sample at a time from source to finished tensor: open (read, header), draw, decode, finish (resample, pack). A
// Lane is one thread's scratch memory, which settle() keeps from staying as large as the largest sample ever.
//
// Calls that come in another order than engine/lane_state.h says do nothing and fail. Any of them may throw std::bad_alloc.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "buffer.h"
#include "cache/cache.h"
#include "engine/deferred.h"
#include "engine/keeping.h"
#include "engine/lane_state.h"
#include "engine/pixel_buffer.h"
#include "engine/slabs.h"
#include "engine/stage_times.h"
#include "engine/target.h"
#include "engine/works.h"
#include "entries/sample_entries.h"
#include "image/mix.h"
#include "image/resample.h"
#include "io/source.h"
#include "jpeg/decode.h"
#include "jpeg/frame.h"
#include "random/generator.h"
#include "recipe/recipe.h"
#include "types.h"

namespace fastload::engine {

class Lane {
 public:
  explicit Lane(image::Simd simd);

  // Reads the bytes and the header. A file that does not end as a JPEG should is decoded whole right here, so that its damage
  // is known before anything is drawn. Any failure: the caller may fetch the pixels elsewhere and adopt() them. What the cache has
  // is not read, and what it has not is kept once it has shown to be readable: the source and the lookup live until then. A file of
  // which `entries` has a record that holds is read where the window's codes are, once that is known; `defers`: to be deferred, if it
  // can be.
  Status open(const io::Source& source, int64_t max_pixels, const cache::Lookup& lookup = {},
              const entries::Store* entries = nullptr, bool defers = false);

  // Pixels of a whole image in the place of a file; they live until the sample is finished.
  Status open(const image::Compact& image);

  // Room for the pixels of the whole image from another decoder, to be filled before draw().
  Pixels adopt(int32_t width, int32_t height);

  Status draw(const recipe::Recipe& recipe, random::Generator& generator);
  // In the place of draw(), for a sample that was deferred and is open again.
  Status use(const recipe::Plan& plan);

  // Defers the drawn sample, which was opened without entry points, as its bytes, in memory of the pool. `why` is Keep::none, or why
  // that cannot be: it is still drawn then.
  Status defer_bytes(const std::shared_ptr<BytePool>& pool, Deferred* out, Keep* why);
  // The same as what its window is made of, which has a place then and is still to be read. `work`: of the sample, among the works;
  // one that was not deferred is nobody's.
  Status defer_window(Slabs* slabs, Works* works, size_t slot, Deferred* out, Keep* why);
  // A failure here may be answered by decode().
  Status read_window(const Deferred& deferred);

  // Decodes what the plan needs. A failure here may be answered by adopt() and another decode(), which then does nothing.
  Status decode();

  // Resamples and packs into `out`: plan().height x plan().width x channels elements. Fails where the image, which may have been
  // adopted since the plan was drawn, is not of the size that it was drawn for.
  Status finish(const Target& target, void* out);
  // The same as packed RGBX pixels, every fourth byte of them `fourth`.
  Status finish_rgbx(uint8_t fourth, uint8_t* out);

  // In the place of finish(), as often as wanted: the decoded pixels by another plan for the same image, whose window lies within that
  // of the plan that they were decoded for. They stay as they are.
  Status finish_another(const recipe::Plan& plan, const Target& target, void* out);

  // Between two samples: gives back memory that only a very large one needs.
  void settle();

  bool was_cached() const { return keeping_.was_found(); }
  // The whole file, where the cache has it; for another decoder.
  ByteSpan cached_bytes() const { return keeping_.bytes(); }

  // What became of them in the last sample.
  const entries::SampleEntries& sample_entries() const { return entries_; }

  int32_t width() const { return width_; }
  int32_t height() const { return height_; }
  const recipe::Plan& plan() const { return plan_; }
  StageTimes& times() { return times_; }

 private:
  // Of more pixels the other decoder has something to say, each time.
  bool is_allowed(int32_t width, int32_t height) const;
  // `state`, if the image is of the size that the plan is for.
  LaneState if_of_plan(LaneState state) const;
  Keep why_kept() const;
  // What the other decoder must know beside the file; false where the plan is not two passes.
  bool describe(Deferred* out);
  // The window's, or a copy where they are to be kept and the first step would change them.
  Pixels first_pixels(bool kept);
  // All but the trailing flips.
  Pixels run_steps(bool kept = false);
  Status pack(const Pixels& pixels, const Target& target, void* out);
  // In the finished sample.
  Status erase(const Target& target, uint8_t* out);
  // Those in the cache, where it has them.
  Status open_bytes(io::Source source);
  // False: there is no record that holds.
  bool enter(const entries::Store* entries, const io::Source& source, bool defers, bool wants_all);
  // Whether the header of its record is all that must be known of it, as it is to be deferred.
  bool read_frame();
  Status open_entered();
  Status read_coefficients(const Deferred& deferred);
  Status decode_window();
  Status decode_entered();
  Status decode_bytes();
  // Whether entry points are noted while this window's codes are read.
  bool may_note(Box window, bool reads_codes_alone);
  // In the cache, as they are now: before the steps change pixels, and while the bytes are there.
  void keep() noexcept;

  const image::Simd simd_;
  io::FileBuffer file_;
  ByteSpan bytes_;
  Keeping keeping_;
  entries::SampleEntries entries_;
  jpeg::Header header_;
  jpeg::Frame frame_;
  bool has_frame_ = false;  // and jpeg_ is not open
  image::Taps taps_;
  jpeg::Session jpeg_;
  image::Resampler resampler_;
  image::Mixer mixer_;
  PixelBuffer decoded_;
  PixelBuffer turned_[2];  // intermediate images, used in turn
  Buffer scratch_;  // of one step
  StageTimes times_;

  LaneState state_ = LaneState::empty;
  int32_t width_ = 0;  // of the image
  int32_t height_ = 0;
  bool whole_ = false;    // pixels_ is all of it
  bool adopted_ = false;  // … and another decoder's
  int64_t max_pixels_ = 0;
  image::Compact cached_;  // all of it; no data: it was not in the cache
  Pixels pixels_;
  int32_t left_ = 0, top_ = 0;  // where they lie in the image, once they are decoded
  recipe::Plan plan_;
};

}  // namespace fastload::engine
