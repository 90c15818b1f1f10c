#include "entries/store.h"

#include <algorithm>

#include "cache/hash.h"

namespace fastload::entries {

namespace {

// What a hash begins with.
constexpr uint64_t kBelow = 1, kAnywhere = 2, kAfar = 3;

bool begins(std::string_view path, std::string_view prefix) { return path.substr(0, prefix.size()) == prefix; }

}  // namespace

bool Root::find(const cache::Key& key, Buffer* to, ByteSpan* record) const {
  if (log != nullptr && log->find(key, to, record)) return true;
  for (const std::shared_ptr<const RecordFile>& file : files) {
    if (file->find(key, to, record)) return true;
  }
  return false;
}

cache::Key Root::key_of(const io::Source& source) const {
  cache::Hash hash;
  if (!source.place.empty()) {
    hash.add(kAfar);
    hash.add(source.place);
    return hash.key();
  }
  if (!prefix.empty() && begins(source.path, prefix)) {
    hash.add(kBelow);
    hash.add(source.path.substr(prefix.size()));
  } else {
    hash.add(kAnywhere);
    if (!cache::add_path(source.path, &hash)) return {};
  }
  cache::add_range(source, &hash);
  return hash.key();
}

const Root& Store::root_of(const io::Source& source) const {
  const std::string_view path = source.place.empty() ? source.path : source.place;
  for (const Root& root : roots) {
    if (!root.prefix.empty() && begins(path, root.prefix)) return root;
  }
  return roots.front();
}

size_t Store::count_known(const std::vector<io::Source>& sources) const {
  Buffer bytes;
  return static_cast<size_t>(std::count_if(sources.begin(), sources.end(), [&](const io::Source& source) {
    if (!source.is_of_file() && source.place.empty()) return false;
    const Root& root = root_of(source);
    const cache::Key key = root.key_of(source);
    ByteSpan record;
    return key.is_one() && root.find(key, &bytes, &record);
  }));
}

}  // namespace fastload::entries
