// Entry points, for the sanitizers: windows decoded by them are the windows of whole decodes, whatever is damaged is refused or
// harmless, and threads that make and use records at once give what an engine without them gives.
// Usage: entries JPEG [JPEG …].
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/lane.h"
#include "entries/make.h"
#include "entries/merge.h"
#include "entries/sample_entries.h"
#include "given.h"
#include "io/crc32c.h"
#include "jpeg/decode.h"

using namespace fastload;

namespace {

constexpr int kEvery[] = {4, 8, 16, 32, 0};
constexpr int kWindows = 3;
constexpr int kMutations = 40;
constexpr int kSide = 48;
constexpr size_t kChecked = 16;

int failures = 0;

void expect(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  ++failures;
}

std::vector<uint8_t> read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

ByteSpan span(const std::vector<uint8_t>& bytes) { return {bytes.data(), bytes.size()}; }

class Windows {
 public:
  // Red, green and blue of a window; empty: refused.
  std::vector<uint8_t> plain(const std::vector<uint8_t>& data, Box window) {
    jpeg::Header header;
    return session_.open(span(data), 0, &header).ok() ? decoded(window) : std::vector<uint8_t>();
  }

  std::vector<uint8_t> entered(const std::vector<uint8_t>& data, const std::vector<uint8_t>& record, Box window) {
    // Not a byte more than is needed, so that a look behind them shows.
    const std::vector<uint8_t> own(record.begin(), record.end());
    jpeg::EntryRecord entries;
    jpeg::Header header;
    if (!entries.parse(span(own)) || !session_.open(entries, 0, &header).ok()) return {};
    if (window.x + window.width > header.width || window.y + window.height > header.height) return {};
    const jpeg::Piece piece = session_.codes(window);
    if (piece.at > data.size() || piece.size > data.size() - piece.at) return {};
    const std::vector<uint8_t> codes(data.begin() + static_cast<ptrdiff_t>(piece.at),
                                     data.begin() + static_cast<ptrdiff_t>(piece.at + piece.size));
    session_.give(span(codes), piece.at);
    return decoded(window);
  }

  std::vector<uint8_t> record(const std::vector<uint8_t>& data, int every) {
    jpeg::Header header;
    std::vector<uint8_t> made;
    if (session_.open(span(data), 0, &header).ok() && session_.read_codes(every).ok()) session_.take_record({}, &made);
    width = header.width;
    height = header.height;
    return made;
  }

  int32_t width = 0;
  int32_t height = 0;

 private:
  std::vector<uint8_t> decoded(Box window) {
    room_.assign(session_.required_bytes(window), 0);
    Pixels pixels = {room_.data(), 0, 0, 0};
    std::vector<uint8_t> rgb;
    if (!session_.decode(window, &pixels).ok()) return rgb;
    for (int32_t y = 0; y < pixels.height; ++y) {
      for (int32_t x = 0; x < pixels.width; ++x) {
        rgb.insert(rgb.end(), pixels.row(y) + 4 * x, pixels.row(y) + 4 * x + 3);
      }
    }
    return rgb;
  }

  jpeg::Session session_;
  std::vector<uint8_t> room_;
};

void mutate(std::vector<uint8_t>* bytes, size_t begin, std::mt19937* dice) {
  for (int i = 1 + static_cast<int>((*dice)() % 3); i > 0 && begin < bytes->size(); --i) {
    (*bytes)[begin + (*dice)() % (bytes->size() - begin)] = static_cast<uint8_t>((*dice)());
  }
}

// True: it has entry points.
bool one_file(Windows* windows, const std::string& path, std::mt19937* dice) {
  const std::vector<uint8_t> data = read_all(path);
  for (const int every : kEvery) {
    const std::vector<uint8_t> record = windows->record(data, every);
    if (record.empty()) return false;
    for (int i = 0; i < kWindows; ++i) {
      Box window;
      window.x = static_cast<int32_t>((*dice)() % static_cast<uint32_t>(windows->width));
      window.y = static_cast<int32_t>((*dice)() % static_cast<uint32_t>(windows->height));
      window.width = 1 + static_cast<int32_t>((*dice)() % static_cast<uint32_t>(windows->width - window.x));
      window.height = 1 + static_cast<int32_t>((*dice)() % static_cast<uint32_t>(windows->height - window.y));
      const std::vector<uint8_t> wanted = windows->plain(data, window);
      expect(!wanted.empty() && windows->entered(data, record, window) == wanted, path + ": the window's pixels");
      for (int k = 0; k < kMutations; ++k) {
        std::vector<uint8_t> bad_data = data, bad_record = record;
        if (k % 3 != 0) mutate(&bad_record, kChecked, dice);
        if (k % 3 != 1) mutate(&bad_data, 0, dice);
        const uint32_t before = io::crc32c({bad_record.data(), 12});
        const uint32_t crc = io::crc32c({bad_record.data() + kChecked, bad_record.size() - kChecked}, before);
        std::memcpy(bad_record.data() + 12, &crc, sizeof crc);
        windows->entered(bad_data, bad_record, window);  // whatever it gives
      }
    }
  }
  return true;
}

std::vector<uint8_t> batch(engine::Engine* made, const std::vector<std::string>& paths,
                           const std::shared_ptr<const entries::Store>& store, engine::Results* results) {
  std::vector<uint8_t> out(paths.size() * 3 * kSide * kSide);
  engine::Request asked = given::request(paths, paths.size(), kSide, out.data());
  asked.entries = store;
  const auto work = std::make_shared<engine::Batch>(std::move(asked));
  made->submit(work);
  while (!work->wait(engine::Phase::done, 1000)) {
  }
  results->entered = work->results.entered;
  results->noted = work->results.noted;
  results->refused = work->results.refused;
  return out;
}

std::shared_ptr<entries::Store> store_of(std::vector<std::shared_ptr<const entries::RecordFile>> files,
                                         std::shared_ptr<entries::RecordLog> log) {
  auto store = std::make_shared<entries::Store>();
  store->roots.push_back({"/", std::move(files), std::move(log)});
  return store;
}

// Batches while records are made, and by those that were made.
void batches(const std::vector<std::string>& paths, const std::string& folder) {
  engine::Engine made(4, image::best_simd(), nullptr);
  engine::Results results;
  const std::vector<uint8_t> wanted = batch(&made, paths, nullptr, &results);
  const auto log = std::make_shared<entries::RecordLog>(folder, "1.log");
  const auto store = store_of({}, log);
  expect(batch(&made, paths, store, &results) == wanted, "batches while records are made");
  const int64_t noted = results.noted;
  expect(noted > 0, "records are made");
  expect(batch(&made, paths, store, &results) == wanted, "batches by records of this process");
  expect(results.entered >= noted && results.refused == 0, "records are used");
  const auto more = std::make_shared<entries::RecordLog>(folder, "2.log");
  const auto store_of_more = store_of({}, more);
  std::vector<io::Source> sources;
  for (const std::string& path : paths) sources.push_back(given::file(path));
  const entries::Made counts = entries::make(*store_of_more, sources, 4);
  expect(counts.made > 0 && counts.failed == 0, "all records at once");
  expect(entries::make(*store_of_more, sources, 4).made == 0, "… and none twice");

  entries::Merge merge;
  expect(merge.add(log->path().c_str(), 0, -1) && merge.add(more->path().c_str(), 0, -1), "logs are read");
  merge.finish();
  expect(merge.records() == static_cast<size_t>(counts.made), "each key once");
  const std::string merged = folder + "/merged";
  std::vector<uint8_t> content;
  const size_t slots = merge.slots().size();
  content.resize(slots * sizeof(entries::Slot));
  std::memcpy(content.data(), merge.slots().data(), content.size());
  for (ByteSpan piece; merge.next(&piece) && piece.size > 0;) content.insert(content.end(), piece.data, piece.data + piece.size);
  std::mt19937 dice(7);
  for (int round = 0; round < 12; ++round) {
    std::vector<uint8_t> bad = content;
    for (int i = 0; round > 0 && i < 40; ++i) bad[dice() % bad.size()] ^= static_cast<uint8_t>(1u << dice() % 8);
    if (round > 8) bad.resize(bad.size() * static_cast<size_t>(round) / 16);
    std::ofstream(merged, std::ios::binary).write(reinterpret_cast<const char*>(bad.data()), static_cast<std::streamsize>(bad.size()));
    const auto file = std::make_shared<entries::RecordFile>();
    const entries::RecordFile::Parts parts = {0, slots, static_cast<int64_t>(slots * sizeof(entries::Slot)), merge.bytes()};
    expect(file->open(merged.c_str(), parts), "the file is opened");
    expect(batch(&made, paths, store_of({file}, nullptr), &results) == wanted, "batches by a file, damaged or not");
    if (round == 0) expect(results.entered == counts.made && results.refused == 0, "all of its records are used");
  }
  std::vector<entries::Slot> empty = merge.slots();  // places without a size
  for (entries::Slot& slot : empty) slot.place = entries::place_of(entries::offset_of(slot.place), 0);
  std::ofstream(merged, std::ios::binary)
      .write(reinterpret_cast<const char*>(empty.data()), static_cast<std::streamsize>(slots * sizeof(entries::Slot)));
  entries::RecordFile file;
  expect(file.open(merged.c_str(), {0, slots, 0, slots * sizeof(entries::Slot)}), "the file is opened");
  for (const entries::Slot& slot : empty) {
    if (slot.place == 0) continue;
    for (size_t at = 0; at < slots; ++at) {  // wherever the search of such a key would begin
      Buffer buffer;
      ByteSpan record;
      const auto high = static_cast<uint64_t>((static_cast<unsigned __int128>(at) << 64) / slots + 1);
      expect(!file.find({slot.key, high}, &buffer, &record), "records without a size are none");
    }
  }
}

// Windows by entry points, where a file changes between its header and its codes.
void changing(const std::vector<std::string>& paths, const std::string& folder) {
  const auto log = std::make_shared<entries::RecordLog>(folder, "3.log");
  const auto store = store_of({}, log);
  int changed = 0;
  for (const std::string& path : paths) {
    const std::string own = folder + "/changing.jpg";
    std::filesystem::copy_file(path, own, std::filesystem::copy_options::overwrite_existing);
    if (entries::make(*store, {given::file(own)}, 1).made != 1) continue;
    engine::Lane lane(image::best_simd());
    std::vector<std::vector<uint8_t>> blocks;
    engine::Slabs slabs(std::make_shared<engine::BatchMemory>([&](int, size_t bytes, const std::vector<int>&) {
      return blocks.emplace_back(bytes).data();
    }));
    engine::Works works(1);
    engine::Deferred deferred;
    engine::Keep why = engine::Keep::none;
    random::Mt19937 generator(1);
    const bool as_codes = changed % 2 == 0;
    expect(lane.open(given::file(own), 0, {}, store.get(), as_codes).ok() && lane.sample_entries().is_used(), "it is opened by its record");
    expect(lane.draw(*given::resize_to(kSide), generator).ok(), "drawn");
    expect(lane.defer_window(&slabs, &works, 0, &deferred, &why).ok(), "deferred");
    if (why != engine::Keep::none) continue;
    std::ofstream(own, std::ios::binary | std::ios::app).put('x');
    expect(!lane.read_window(deferred).ok(), "codes of a file that has changed are refused");
    expect(lane.decode().ok(), "it is decoded without its record");
    expect(!lane.sample_entries().is_used() && lane.sample_entries().is_refused(), "… and told of");
    std::vector<uint8_t> out(3 * kSide * kSide);
    expect(lane.finish(*given::byte_target(), out.data()).ok(), "finished");
    ++changed;
  }
  expect(changed > 1, "some have windows, as codes and as coefficients");
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> paths;
  Windows windows;
  std::mt19937 dice(1);
  for (int i = 1; i < argc; ++i) {
    if (one_file(&windows, argv[i], &dice)) paths.emplace_back(argv[i]);
  }
  if (paths.empty()) {
    std::fprintf(stderr, "usage: entries JPEG [JPEG ...]\n");
    return 2;
  }
  char folder[] = "/tmp/fastload_entries_XXXXXX";
  if (::mkdtemp(folder) == nullptr) return 2;
  batches(paths, folder);
  changing(paths, folder);
  std::filesystem::remove_all(folder);
  return failures == 0 ? 0 : 1;
}
