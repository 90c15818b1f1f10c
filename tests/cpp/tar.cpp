// tar.cpp: damaged tars, many of them, under the sanitizers: the scan ends, and what it finds lies within.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "shards/tar_header.h"
#include "shards/tar_scan.h"

using namespace fastload::shards;

namespace {

void set_checksum(uint8_t* block) {
  std::memset(block + 148, ' ', 8);
  unsigned sum = 0;
  for (int i = 0; i < kBlock; ++i) sum += block[i];
  std::snprintf(reinterpret_cast<char*>(block) + 148, 8, "%06o", sum);
}

void add(std::vector<uint8_t>* tar, const std::string& name, const std::string& data, char type = '0') {
  const size_t at = tar->size();
  tar->resize(at + kBlock + (data.size() + kBlock - 1) / kBlock * kBlock);
  uint8_t* const block = tar->data() + at;
  std::memcpy(block, name.data(), name.size());
  std::snprintf(reinterpret_cast<char*>(block) + 124, 12, "%011zo", data.size());
  block[156] = static_cast<uint8_t>(type);
  std::memcpy(block + 257, "ustar\00000", 8);
  set_checksum(block);
  if (!data.empty()) std::memcpy(block + kBlock, data.data(), data.size());
}

std::vector<uint8_t> whole() {
  std::vector<uint8_t> tar;
  add(&tar, kAboutMember, "{}");
  for (int n = 0; n < 4; ++n) {
    const std::string key = "folder/" + std::to_string(n);
    add(&tar, key + ".cls", std::to_string(n));
    if (n == 1) add(&tar, "x", "26 path=folder/1.long.jpg\n12 size=600\n", 'x');
    if (n == 2) add(&tar, "g", "19 comment=nothing\n", 'g');
    if (n == 3) add(&tar, "././@LongLink", "folder/3.jpg", 'L');
    add(&tar, key + ".jpg", std::string(600, 'j'));
    add(&tar, key + ".json", "{}");
  }
  tar.resize(tar.size() + 2 * kBlock);
  return tar;
}

void damage(std::vector<uint8_t>* tar, std::mt19937* random) {
  const auto below = [&](size_t n) { return n == 0 ? 0 : (*random)() % n; };
  for (size_t times = below(4) + 1; times > 0; --times) {
    const size_t header = below(tar->size() / kBlock) * kBlock;
    switch (below(5)) {
      case 0: (*tar)[below(tar->size())] ^= static_cast<uint8_t>(1u << below(8)); break;
      case 1: tar->resize(below(tar->size()) + 1); break;
      case 2: (*tar)[header + 124 + below(12)] = static_cast<uint8_t>((*random)()); break;
      case 3: (*tar)[header + 156] = static_cast<uint8_t>("0xgLKS57\0"[below(9)]); break;
      default: (*tar)[header + below(kBlock)] = static_cast<uint8_t>((*random)()); break;
    }
    if (tar->size() < static_cast<size_t>(kBlock)) return;
    if (header + kBlock <= tar->size() && below(4) > 0) set_checksum(tar->data() + header);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const long rounds = argc > 1 ? std::atol(argv[1]) : 20000;
  std::mt19937 random(1);
  const std::vector<uint8_t> original = whole();
  long samples = 0;
  for (long round = 0; round < rounds; ++round) {
    // A copy of just its size, so that a read behind its end is seen.
    std::vector<uint8_t> tar = original;
    if (round > 0) damage(&tar, &random);
    tar.shrink_to_fit();
    ByteWindow bytes(
        [&](int64_t offset, uint8_t* out, size_t size) {
          const size_t count = std::min(size, tar.size() - static_cast<size_t>(offset));
          std::memcpy(out, tar.data() + offset, count);
          return static_cast<int64_t>(count);
        },
        static_cast<int64_t>(tar.size()), 1 + random() % 5000);
    const TarScan scan = scan_tar(&bytes, {{"jpg", "long.jpg"}, {{"cls", true}, {"json", false}}});
    const size_t n = scan.offset.size();
    bool right = scan.length.size() == n && scan.number.size() == n && scan.name.starts.size() == n + 1 &&
                 scan.text.starts.size() == n + 1 && scan.field.size() == n && scan.end != TarEnd::none;
    for (size_t i = 0; i < n; ++i) {
      right = right && scan.offset[i] >= kBlock && scan.length[i] >= 0 &&
              scan.offset[i] + scan.length[i] <= static_cast<int64_t>(tar.size());
    }
    if (round == 0) right = right && n == 4 && scan.end == TarEnd::marked;
    if (!right) {
      std::fprintf(stderr, "round %ld: %zu samples, %s\n", round, n, scan.reason.c_str());
      return 1;
    }
    samples += static_cast<long>(n);
  }
  std::printf("%ld tars, %ld samples\n", rounds, samples);
  return 0;
}
