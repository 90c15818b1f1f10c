// entries/sample_entries.h: one sample's dealings with entry points: its record, where that holds for the file as it is now; the codes
// of a window; a record that is made of it. One thread, one sample at a time.
//
// Note [when a record holds]
// A record names the file's size and times. The same size and times of content and status: it is that file. The same size and time of
// content alone: it was copied, or another one was made to look like it, so all its bytes are read and their CRC-32C compared; and so
// they are wherever that is asked for. Anything else: the record is of no use. A file that changes while its codes are read, or whose
// codes do not lie where the record says, is decoded in the way of a file without one.
//
// What comes from afar is read whole in any case. Its record names its version (an ETag, say) in the place of the times, and its CRC-32C
// is compared each time: another version, or other bytes, and the record is of no use.
//
// A file is stamped by a clock that ticks, and two changes within a tick look like one: no record is made of a file that was changed
// within kYoung before it was read, nor of one that was changed meanwhile.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <vector>

#include "buffer.h"
#include "entries/store.h"
#include "io/open_file.h"
#include "io/source.h"
#include "jpeg/decode.h"

namespace fastload::entries {

constexpr int64_t kYoung = 100000000;  // ns

class SampleEntries {
 public:
  // Begins with a sample; what the source points to lives until the next one. True: there is a record that holds. `bytes`: all of
  // them, where they are in memory already. Where there is a record, waits for what is to arrive. `wants_all`: where it holds, all
  // bytes are read at once: see whole().
  bool find(const Store* store, const io::Source& source, ByteSpan bytes, bool wants_all = false);
  // Whether there is a record of this very version of what comes from afar. Nothing is fetched.
  bool is_of_version(const Store& store, const io::Source& source);
  const jpeg::EntryRecord& record() const { return record_; }
  // All bytes, where they were given or read; until the next sample.
  ByteSpan whole() const { return whole_; }
  // Hands the codes to a session that was opened with the record. False: the file has changed, or cannot be read.
  bool give(const jpeg::Piece& wanted, jpeg::Session* session);
  // The same, but copies them.
  bool copy(const jpeg::Piece& wanted, uint8_t* to);
  // The record turned out to be wrong.
  void refuse();

  // Whether a record is to be made of it.
  bool wants_record() const { return is_wanted_; }
  int every() const { return store_->every; }
  // Keeps what the session has noted; `bytes` are all of them.
  void keep(jpeg::Session* session, ByteSpan bytes) noexcept;

  const io::Source& source() const { return source_; }
  bool is_used() const { return is_used_; }
  bool is_refused() const { return is_refused_; }  // there was one, of no use
  bool is_made() const { return is_made_; }
  bool is_young() const { return is_young_; }      // none was made for that reason

  void close();
  // See Buffer.
  void settle();

 private:
  // There is no record that holds: one may be made of the file as it is now.
  void look_before();
  bool holds(ByteSpan bytes, bool wants_all);
  bool is_far() const { return !source_.place.empty(); }
  bool is_version() const;
  bool reads_all();
  bool has_content(ByteSpan bytes);
  bool is_as_it_was(const struct stat& info) const;
  // Whether the file is still that of look_before(), and old enough; what it is.
  bool looks_as_before(size_t size, jpeg::Origin* origin);
  bool read(const jpeg::Piece& wanted, uint8_t* to) const;

  const Store* store_ = nullptr;
  const Root* root_ = nullptr;
  io::Source source_;
  cache::Key key_;
  jpeg::EntryRecord record_;
  io::OpenFile file_;
  int64_t begin_ = 0;  // of the encoded image in the file
  int64_t size_ = 0;
  int64_t status_ns_ = 0;  // of the open file
  ByteSpan whole_;         // where all of it was read
  struct stat before_ = {};  // of a file of which a record may be made, before it is read; and when that was
  int64_t began_ns_ = 0;
  bool is_used_ = false, is_refused_ = false, is_wanted_ = false, is_made_ = false, is_young_ = false;
  Buffer record_bytes_;
  Buffer codes_;
  std::vector<uint8_t> made_;
};

}  // namespace fastload::entries
