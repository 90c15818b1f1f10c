// The cache: threads and processes fill and search it at once, processes are killed in the midst of it, and an engine makes the same
// batches with it. Usage: cache JPEG [JPEG …]. Exits 0 when all is as it should be.
#include "cache/cache.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "given.h"

using namespace fastload;
using cache::Key;
using cache::Record;
using cache::Store;

namespace {

constexpr size_t kEntries = 500;
constexpr int kThreads = 4;
constexpr int kKills = 5;
constexpr int kSide = 24;

std::atomic<int> failures{0};

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  ++failures;
}

// Neighbours in the table, as bad as keys can be.
Key key_of(size_t entry) { return {entry + 1, (entry % 7) << 61}; }

std::vector<uint8_t> bytes_of(size_t entry) {
  return std::vector<uint8_t>(entry * 37 % 3000 + 1, static_cast<uint8_t>(entry));
}

bool insert(const Store& store, size_t entry) {
  const std::vector<uint8_t> bytes = bytes_of(entry);
  return store.insert(key_of(entry), {{bytes.data(), bytes.size()}, entry});
}

// Whether it is there; if so it is right.
bool find(const Store& store, size_t entry) {
  Record record;
  if (!store.find(key_of(entry), &record)) return false;
  const std::vector<uint8_t> bytes = bytes_of(entry);
  expect(record.note == entry && record.bytes.size == bytes.size() &&
             std::memcmp(record.bytes.data, bytes.data(), bytes.size()) == 0,
         "what is found is what was kept");
  return true;
}

size_t count(const Store& store) {
  size_t found = 0;
  for (size_t entry = 0; entry < kEntries; ++entry) found += find(store, entry) ? 1 : 0;
  return found;
}

void fill(const Store& store, size_t first) {
  for (size_t i = 0; i < kEntries; ++i) {
    const size_t entry = (first + i) % kEntries;
    if (!find(store, entry)) insert(store, entry);
  }
}

void threads_fill_it_at_once() {
  Store store;
  expect(store.create("fastload-test", size_t{1} << 22, kEntries), "a store is made");
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) threads.emplace_back([&store, i] { fill(store, i * 60); });
  for (std::thread& thread : threads) thread.join();
  expect(count(store) == kEntries && store.samples() == kEntries, "each entry is there once");
  expect(!store.is_full() && store.used() <= store.capacity(), "there was room");
}

void it_keeps_what_fits() {
  Store store;
  store.create("fastload-test", size_t{1} << 18, kEntries);
  fill(store, 0);
  const size_t found = count(store);
  expect(store.is_full() && found > 0 && found < kEntries && found == store.samples(), "some fit");
  fill(store, 0);
  expect(count(store) == found || store.samples() > found, "nothing goes again");
  expect(store.used() <= store.capacity() && store.capacity() == size_t{1} << 18, "no more than was asked for");

  Store tiny;
  expect(tiny.create("fastload-test", 1, kEntries), "a store without room");
  expect(!insert(tiny, 1) && tiny.is_full() && !find(tiny, 1), "nothing fits");

  Store crowded;  // a table with fewer slots than entries
  crowded.create("fastload-test", size_t{1} << 22, 1);
  fill(crowded, 0);
  expect(crowded.is_full() && count(crowded) == crowded.samples() && crowded.samples() > 0, "a full table");
}

void it_is_joined() {
  Store store;
  store.create("fastload-test", size_t{1} << 20, kEntries);
  insert(store, 3);
  Store other;
  expect(other.join(dup(store.fd())), "another one joins it");
  expect(find(other, 3) && insert(other, 4) && find(store, 4), "both see what either keeps");
  Store none;
  int ends[2];
  expect(pipe(ends) == 0, "a pipe");
  expect(!none.join(ends[0]), "a pipe is none");
  close(ends[1]);
}

void processes_die_in_the_midst_of_it() {
  Store store;
  store.create("fastload-test", size_t{1} << 22, 4 * kEntries);
  for (int kill_at = 0; kill_at < kKills; ++kill_at) {
    const size_t before = store.samples();
    const pid_t child = fork();
    if (child == 0) {
      for (size_t first = 0;; ++first) fill(store, first * 7);
    }
    while (store.samples() < std::min(before + 40, kEntries - kKills)) usleep(100);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    count(store);
  }
  fill(store, 0);
  expect(count(store) >= kEntries - kKills, "each costs no more than its entry");
}

std::vector<uint8_t> batch(engine::Engine& engine, const std::vector<std::string>& paths, size_t samples,
                           const std::shared_ptr<const cache::Cache>& kept, int64_t* cached) {
  std::vector<uint8_t> out(samples * 3 * kSide * kSide);
  engine::Request asked = given::request(paths, samples, kSide, out.data());
  asked.cache = kept;
  auto made = std::make_shared<engine::Batch>(std::move(asked));
  engine.submit(made);
  while (!made->wait(engine::Phase::done, 1000)) {
  }
  *cached = made->results.cached;
  return out;
}

void an_engine_uses_it(const std::vector<std::string>& paths) {
  engine::Engine engine(kThreads, image::best_simd(), nullptr);
  const size_t samples = 3 * paths.size();
  int64_t cached = 0;
  const std::vector<uint8_t> expected = batch(engine, paths, samples, nullptr, &cached);
  for (const cache::Kind kind : {cache::Kind::encoded, cache::Kind::decoded}) {
    auto kept = std::make_shared<cache::Cache>();
    kept->kind = kind;
    kept->store.create("fastload-test", size_t{1} << 24, paths.size());
    expect(batch(engine, paths, samples, kept, &cached) == expected, "the first batch is as without a cache");
    expect(batch(engine, paths, samples, kept, &cached) == expected, "and so is the next");
    expect(kept->store.samples() > 0 && cached >= static_cast<int64_t>(3 * kept->store.samples()),
           "which finds what the first has kept");
  }
}

}  // namespace

int main(int argc, char** argv) {
  threads_fill_it_at_once();
  it_keeps_what_fits();
  it_is_joined();
  processes_die_in_the_midst_of_it();
  an_engine_uses_it({argv + 1, argv + argc});
  return failures == 0 ? 0 : 1;
}
