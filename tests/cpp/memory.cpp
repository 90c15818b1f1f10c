// Memory that cannot be had: every allocation of a thread's scratch fails in turn, and no byte is written behind what there is.
// To be run under AddressSanitizer. Usage: memory SMALL_JPEG LARGE_JPEG. Exits 0 when all is as it should be.
#include "engine/memory.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "buffer.h"
#include "engine/bytes.h"
#include "engine/lane.h"
#include "given.h"

using namespace fastload;

namespace {

constexpr int kSide = 40;
long allowed = -1;  // allocations until all fail; negative: none does
long made = 0;

void* allocate(size_t bytes, size_t alignment) {
  if (allowed == 0) throw std::bad_alloc();
  if (allowed > 0) --allowed;
  ++made;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* const data = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  ++failures;
}

template <typename Fn>
bool runs_out(Fn fn) {
  try {
    fn();
    return false;
  } catch (const std::bad_alloc&) {
    return true;
  }
}

void buffers() {
  Buffer buffer;
  std::memset(buffer.reserve(100), 1, 100);
  allowed = 0;
  expect(runs_out([&] { buffer.reserve(1000000); }), "reserve fails");
  expect(buffer.capacity() == 0 && buffer.data() == nullptr, "a failed reserve holds nothing");
  allowed = -1;
  std::memset(buffer.reserve(90000), 2, 90000);
  expect(buffer.capacity() >= 90000, "it holds what was asked for after that");
  allowed = 0;
  expect(runs_out([&] { buffer.grow(1000000, 90000); }), "grow fails");
  expect(buffer.capacity() >= 90000 && buffer.data()[89999] == 2, "a failed grow leaves all as it was");
  allowed = -1;
  expect(buffer.grow(1000000, 90000)[89999] == 2, "what was in it moves along");
  const size_t large = Buffer::kKept + 1;
  for (const bool is_large : {true, false, true, true, true}) {
    std::memset(buffer.reserve(is_large ? large : 10), 3, is_large ? large : 10);
    buffer.settle();
  }
  expect(buffer.capacity() == large, "where all are so large, memory is kept");
  buffer.reserve(10);
  buffer.settle();
  expect(buffer.capacity() <= Buffer::kKept, "and given back with the first that is not");
}

// One sample, with so many allocations; true if there was memory for it.
bool make(engine::Lane* lane, const char* path, std::vector<uint8_t>* out, long allocations = -1,
          const entries::Store* store = nullptr) {
  static const auto target = given::byte_target();
  static const auto recipe = given::resize_to(kSide);
  const io::Source source = given::file(path);
  out->assign(3 * kSide * kSide, 0);
  Status status;
  allowed = allocations;
  const bool failed = runs_out([&] {
    random::Mt19937 generator(1);
    status = lane->open(source, 0, {}, store);
    if (status.ok()) status = lane->draw(*recipe, generator);
    if (status.ok()) status = lane->decode();
    if (status.ok()) status = lane->finish(*target, out->data());
  });
  lane->settle();
  allowed = -1;
  return !failed && status.ok();
}

// A large picture at which the n-th allocation fails, and all after it; then smaller ones, which must fit what is really there.
void lanes(const char* small, const char* large) {
  std::vector<uint8_t> expected, got;
  {
    engine::Lane lane(image::best_simd());
    expect(make(&lane, small, &expected), "the small picture is read");
  }
  for (long n = 0;; ++n) {
    engine::Lane lane(image::best_simd());
    expect(make(&lane, small, &got), "before");
    const bool had_memory = make(&lane, large, &got, n);
    expect(make(&lane, small, &got) && got == expected, "the small picture after the large one");
    expect(make(&lane, large, &got), "the large picture, later");
    if (had_memory) break;
    if (n > 10000) return expect(false, "some day there is enough");
  }
}

// A picture for which there is memory, but for the entry points that are noted of it, or for a part of them.
void notes(const char* path) {
  char folder[] = "/tmp/fastload_memory_XXXXXX";
  expect(::mkdtemp(folder) != nullptr, "a folder");
  entries::Store store;
  store.roots.resize(1);
  std::vector<uint8_t> expected, got;
  engine::Lane lane(image::best_simd());
  expect(make(&lane, path, &expected), "the picture is read");
  size_t records = 0;
  for (long n = 0; records == 0 && n < 1000; ++n) {
    engine::Lane other(image::best_simd());
    const auto log = std::make_shared<entries::RecordLog>(folder, std::to_string(n));
    store.roots[0].log = log;
    expect(make(&other, path, &got) && make(&other, path, &got, n, &store) && got == expected, "with few notes or none");
    records = log->records();
  }
  expect(records == 1, "some day there is enough for a record");
  store.roots.clear();
  std::filesystem::remove_all(folder);
}

void pools() {
  const auto pool = std::make_shared<engine::BytePool>();
  std::vector<uint8_t> bytes(40 << 20, 5);
  for (int i = 1; i < 300; ++i) engine::PooledBytes(pool, {bytes.data(), static_cast<size_t>(i) << 15});
  expect(pool->bytes() <= (300u << 15) * 3 / 2, "one file at a time keeps no block for every size");
  {
    engine::PooledBytes one(pool, {bytes.data(), bytes.size()});
  }
  for (int i = 0; i < 20000; ++i) engine::PooledBytes(pool, {bytes.data(), 1000});
  expect(pool->bytes() <= 1 << 20, "nor that of the largest ever");
  for (long n = 0; n < 6; ++n) {
    allowed = n;
    const bool out_of_memory =
        runs_out([&] { engine::PooledBytes one(pool, {bytes.data(), static_cast<size_t>(n + 20) << 20}); });
    allowed = -1;
    expect(out_of_memory || n > 0, "the first allocation is of the bytes");
    engine::PooledBytes again(pool, {bytes.data(), 1 << 16});
    expect(std::memcmp(again.data(), bytes.data(), again.size()) == 0, "the bytes are there");
  }
}

}  // namespace

void* operator new(size_t bytes) { return allocate(bytes, alignof(std::max_align_t)); }
void* operator new(size_t bytes, std::align_val_t alignment) { return allocate(bytes, static_cast<size_t>(alignment)); }
void* operator new[](size_t bytes) { return operator new(bytes); }
void operator delete[](void* data) noexcept { std::free(data); }
void operator delete[](void* data, size_t) noexcept { std::free(data); }
void operator delete(void* data) noexcept { std::free(data); }
void operator delete(void* data, size_t) noexcept { std::free(data); }
void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
void operator delete(void* data, size_t, std::align_val_t) noexcept { std::free(data); }

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: memory SMALL_JPEG LARGE_JPEG\n");
    return 2;
  }
  buffers();
  lanes(argv[1], argv[2]);
  notes(argv[1]);
  pools();
  std::printf("%ld allocations\n", made);
  return failures == 0 ? 0 : 1;
}
