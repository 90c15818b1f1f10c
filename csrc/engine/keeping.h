// engine/keeping.h: a lane's dealings with a cache: whether it has the sample, and keeping one that it has not. One sample at a time.
//
// A source is looked at once more before its sample is kept: of a file that changed while it was read nothing is.
#pragma once

#include "buffer.h"
#include "cache/cache.h"
#include "image/compact.h"
#include "io/source.h"
#include "types.h"

namespace fastload::engine {

class Keeping {
 public:
  // Begins with a sample, whose source lives until it is kept or the next one begins. True: the cache has it.
  bool find(const cache::Lookup& lookup, const io::Source& source);
  // Of the sample, where it was found and is kept so; else no data. They live as long as the cache.
  ByteSpan bytes() const;
  image::Compact pixels() const;
  bool was_found() const { return was_found_; }

  // Whether they are to be kept and would find room.
  bool wants_bytes(size_t size) const { return wants(cache::Kind::encoded, size); }
  bool wants_pixels(int32_t width, int32_t height) const;

  // Keeps them, if they are wanted. The image is the whole one.
  void keep(ByteSpan bytes);
  void keep(const Pixels& image);

  // See Buffer.
  void settle() { compact_.settle(); }

 private:
  bool wants(cache::Kind kind, size_t size) const;
  void insert(const cache::Record& record);
  // Of the sample; of one that is to arrive, perhaps not before it has.
  cache::Key key() const;

  cache::Lookup lookup_;
  io::Source source_;
  cache::Key key_;
  cache::Record record_;
  bool was_found_ = false;
  bool is_over_ = false;  // nothing more is kept of this sample
  Buffer compact_;
};

}  // namespace fastload::engine
