// engine/lane.h: one sample at a time from source to finished tensor: open (read, header), draw, finish (decode, resample,
// pack). A Lane is one thread's scratch memory, which settle() keeps from staying as large as the largest sample ever.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "buffer.h"
#include "engine/deferred.h"
#include "image/pack.h"
#include "image/resample.h"
#include "io/source.h"
#include "jpeg/decode.h"
#include "random/generator.h"
#include "recipe/recipe.h"
#include "types.h"

namespace fastload::engine {

// Nanoseconds by stage, and how many samples somebody else decoded.
enum class Stage : uint8_t { read, header, turn, draw, decode, resample, pack, fallback, count };
constexpr int kStages = static_cast<int>(Stage::count);

struct StageTimes {
  int64_t ns[kStages] = {};
};

// Adds the time from its construction to its end to one stage.
class StageClock {
 public:
  StageClock(StageTimes* times, Stage stage);
  ~StageClock();
  StageClock(const StageClock&) = delete;
  StageClock& operator=(const StageClock&) = delete;

 private:
  StageTimes* times_;
  Stage stage_;
  int64_t start_ns_;
};

class PixelBuffer : public Buffer {
 public:
  // Packed rows of a width x height image, slack included.
  Pixels image(int32_t width, int32_t height);
};

// What finished samples look like. One for all samples of a loader, read-only once made.
struct Target {
  image::ValueMap values;
  image::Layout layout = image::Layout::chw;
  std::vector<uint8_t> table;  // what values.table points to
  size_t element_bytes = 0;
};

class Lane {
 public:
  explicit Lane(image::Simd simd);

  // Reads the bytes and the header. A file that does not end as a JPEG should is decoded whole right here, so that its damage
  // is known before anything is drawn. Any failure: the caller may fetch the pixels elsewhere and adopt() them.
  Status open(const io::Source& source, int64_t max_pixels);

  // Room for the pixels of the whole image from another decoder, to be filled before draw().
  Pixels adopt(int32_t width, int32_t height);

  Status draw(const recipe::Recipe& recipe, random::Generator& generator);

  // Leaves the drawn sample to another decoder, its bytes in memory of the pool. Not Keep::none: why it cannot be.
  Keep leave_bytes(const std::shared_ptr<BytePool>& pool, Deferred* out);
  // The same for its coefficients, which have a place then and are still to be read.
  Keep leave_coefficients(BatchMemory* memory, Slabs* slabs, Deferred* out);
  // In the place of decode() and finish(), for a sample whose coefficients were left.
  Status read_coefficients(const Deferred& left);
  // In the place of draw(), for a sample that was deferred once and is open again.
  void use(const recipe::Plan& plan) { plan_ = plan; }

  // Decodes what the plan needs. A failure here may be answered by adopt() and another decode(), which then does nothing.
  Status decode();

  // Resamples and packs into `out`: plan().height x plan().width x channels elements. Fails where the image, which may have been
  // adopted since the plan was drawn, is not of the size that it was drawn for.
  Status finish(const Target& target, void* out);

  // Between two samples: gives back memory that only a very large one needs.
  void settle();

  int32_t width() const { return width_; }
  int32_t height() const { return height_; }
  const recipe::Plan& plan() const { return plan_; }
  StageTimes& times() { return times_; }

 private:
  bool is_of_plan() const { return width_ == plan_.image_width && height_ == plan_.image_height; }
  Keep why_kept() const;
  // What the other decoder must know beside the file; false where the plan is not two passes.
  bool describe(Deferred* out);
  Pixels run_steps(Pixels pixels);

  const image::Simd simd_;
  io::FileBuffer file_;
  ByteSpan bytes_;
  jpeg::Header header_;
  image::Taps taps_;
  jpeg::Session jpeg_;
  image::Resampler resampler_;
  PixelBuffer decoded_;
  PixelBuffer turned_[2];  // intermediate images, used in turn
  StageTimes times_;

  int32_t width_ = 0;
  int32_t height_ = 0;
  bool whole_ = false;    // pixels_ is the whole image
  bool adopted_ = false;  // it is another decoder's
  Pixels pixels_;
  recipe::Plan plan_;
};

}  // namespace fastload::engine
