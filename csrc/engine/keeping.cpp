#include "engine/keeping.h"

namespace fastload::engine {

namespace {

constexpr int kHeightShift = 32;  // a record's note is the image's width and height

}  // namespace

bool Keeping::find(const cache::Lookup& lookup, const io::Source& source) {
  lookup_ = lookup;
  source_ = source;
  was_found_ = false;
  is_over_ = lookup.cache == nullptr;
  key_ = {};
  if (lookup.cache == nullptr) return false;
  key_ = key();
  was_found_ = key_.is_one() && lookup.cache->store.find(key_, &record_);
  return was_found_;
}

ByteSpan Keeping::bytes() const {
  return was_found_ && lookup_.cache->kind == cache::Kind::encoded ? record_.bytes : ByteSpan{};
}

image::Compact Keeping::pixels() const {
  if (!was_found_ || lookup_.cache->kind != cache::Kind::decoded) return {};
  image::Compact found = {record_.bytes.data, static_cast<int32_t>(record_.note & UINT32_MAX),
                          static_cast<int32_t>(record_.note >> kHeightShift), 1};
  if (found.size() != record_.bytes.size) found.channels = 3;
  return found;
}

cache::Key Keeping::key() const {
  const bool is_learned = lookup_.name.empty() && source_.kind == io::SourceKind::arrival;
  return cache::key_of(source_, is_learned ? source_.arrival->cache_name() : lookup_.name, lookup_.variant);
}

bool Keeping::wants(cache::Kind kind, size_t size) const {
  if (is_over_ || was_found_) return false;
  return (key_.is_one() || key().is_one()) && lookup_.cache->kind == kind && lookup_.cache->store.has_room(size);
}

bool Keeping::wants_pixels(int32_t width, int32_t height) const {
  return wants(cache::Kind::decoded, image::Compact{nullptr, width, height, 3}.size());
}

void Keeping::insert(const cache::Record& record) {
  const cache::Key now = key();
  const bool is_same = key_.is_one() ? now == key_ : source_.kind == io::SourceKind::arrival;
  if (is_same) lookup_.cache->store.insert(now, record);
  is_over_ = true;
}

void Keeping::keep(ByteSpan bytes) {
  if (wants_bytes(bytes.size)) insert({bytes, 0});
}

void Keeping::keep(const Pixels& image) {
  if (!wants(cache::Kind::decoded, 0)) return;
  image::Compact compact = {nullptr, image.width, image.height, image::channels_of(image)};
  if (!wants(cache::Kind::decoded, compact.size())) return;
  uint8_t* const data = compact_.reserve(compact.size() + 1);
  image::to_compact(image, compact.channels, data);
  const auto note = static_cast<uint64_t>(image.width) | static_cast<uint64_t>(image.height) << kHeightShift;
  insert({{data, compact.size()}, note});
}

}  // namespace fastload::engine
