#include "entries/make.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include "entries/sample_entries.h"
#include "jpeg/decode.h"
#include "jpeg/end_search.h"

namespace fastload::entries {

namespace {

bool has_points_as_wanted(const Store& store, const jpeg::EntryRecord& record) {
  const jpeg::ScanLayout& layout = record.layout();
  return store.keeps || layout.every == (store.every > 0 ? std::min<int>(store.every, layout.mcus_per_row) : layout.mcus_per_row);
}

// One thread's.
class Maker {
 public:
  explicit Maker(const Store& store) : store_(store) {}

  void make(const io::Source& source, Made* counts) {
    if (!source.is_of_file() && source.place.empty()) {
      ++counts->none;
      return;
    }
    const bool is_known = entries_.find(&store_, source, {});
    if (is_known && has_points_as_wanted(store_, entries_.record())) {
      ++counts->known;
    } else {
      if (is_known) entries_.refuse();
      const int64_t before = counts->made;
      read(source, counts, true);
      if (is_known) counts->replaced += counts->made - before;
    }
    jpeg_.close();
    jpeg_.settle();
    file_.settle();
    entries_.settle();
  }

 private:
  void read(const io::Source& source, Made* counts, bool may_wait) {
    jpeg::EndSearch search;
    ByteSpan bytes;
    const Status status = file_.read(source, [&](ByteSpan so_far) { return search.look(so_far); }, &bytes);
    if (!status.ok()) {
      ++(status.code == Code::not_native ? counts->none : counts->failed);
      return;
    }
    counts->bytes += static_cast<int64_t>(bytes.size);
    jpeg::Header header;
    if (!file_.is_whole() || !jpeg_.open(bytes, 0, &header).ok() || !jpeg_.read_codes(store_.every).ok()) {
      ++counts->none;
      return;
    }
    entries_.keep(&jpeg_, bytes);
    if (entries_.is_young() && may_wait) {
      const timespec rest = {0, kYoung};
      ::nanosleep(&rest, nullptr);
      if (entries_.find(&store_, source, {})) entries_.refuse();
      read(source, counts, false);
      return;
    }
    ++(entries_.is_made() ? counts->made : counts->failed);
  }

  const Store& store_;
  SampleEntries entries_;
  io::FileBuffer file_;
  jpeg::Session jpeg_;
};

}  // namespace

bool is_known(const Store& store, const io::Source& source) {
  SampleEntries entries;
  return entries.is_of_version(store, source) && has_points_as_wanted(store, entries.record());
}

Made make(const Store& store, const std::vector<io::Source>& sources, int threads) {
  std::vector<Made> counts(static_cast<size_t>(std::max(threads, 1)));
  std::atomic<size_t> next{0};
  const auto work = [&](Made* mine) {
    for (size_t i = next++; i < sources.size(); i = next++) {
      try {
        Maker maker(store);
        for (; i < sources.size(); i = next++) maker.make(sources[i], mine);
      } catch (const std::exception&) {  // no memory
        ++mine->failed;
      }
    }
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < counts.size(); ++i) {
    try {
      others.emplace_back(work, &counts[i]);
    } catch (const std::exception&) {  // then with fewer
      break;
    }
  }
  work(&counts[0]);
  for (std::thread& one : others) one.join();
  Made all;
  for (const Made& one : counts) {
    all.made += one.made;
    all.known += one.known;
    all.none += one.none;
    all.failed += one.failed;
    all.bytes += one.bytes;
    all.replaced += one.replaced;
  }
  return all;
}

}  // namespace fastload::entries
