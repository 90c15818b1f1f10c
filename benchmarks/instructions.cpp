// One stage of the core over some JPEGs, for a tool that counts instructions inside measured(). Usage: instructions STAGE FILE…
// Each stage gets from the one before it what it would in a training's RandomResizedCrop(224); what is not the stage runs outside, and
// everything ran once before it is counted.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "../tests/cpp/exact_image.h"
#include "image/box_blur.h"
#include "image/pack.h"
#include "image/recolour.h"
#include "image/resample.h"
#include "image/warp.h"
#include "jpeg/decode.h"

using namespace fastload;

// What a tool looks for: everything inside it counts.
extern "C" __attribute__((noinline)) void measured(const std::function<void()>& stage) { stage(); }

namespace {

using Image = given::ExactImage;

constexpr int32_t kSide = 224;
const image::Simd kSimd = image::best_simd();

struct Photo {
  std::vector<uint8_t> bytes;
  jpeg::Session session;
  jpeg::Header header;

  explicit Photo(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
    open();
  }
  void open() { check(session.open({bytes.data(), bytes.size()}, 0, &header)); }
  Box whole() const { return {0, 0, header.width, header.height}; }

  static void check(const Status& status) {
    if (status.ok()) return;
    std::fprintf(stderr, "%s\n", status.message);
    std::exit(1);
  }
};

using Run = std::function<void(const std::function<void()>&)>;

void parse(Photo& photo, const Run& count) {
  photo.session.close();
  count([&] { photo.open(); });
}

void huffman(Photo& photo, const Run& count) {
  if (!photo.session.has_coefficients()) return;  // several scans: libjpeg reads these
  const jpeg::Coefficients wanted = photo.session.coefficients(photo.whole());
  std::vector<int16_t> out(wanted.size());
  count([&] { Photo::check(photo.session.read_coefficients(wanted, out.data())); });
}

std::vector<uint8_t> decoded(Photo& photo, Pixels* pixels, const Run& count) {
  std::vector<uint8_t> memory(photo.session.required_bytes(photo.whole()));
  pixels->data = memory.data();
  count([&] { Photo::check(photo.session.decode(photo.whole(), pixels)); });
  return memory;
}

// Of the files that the stage before it counts.
void decode(Photo& photo, const Run& count) {
  if (!photo.session.has_coefficients()) return;
  Pixels pixels;
  decoded(photo, &pixels, count);
}

void progressive(Photo& photo, const Run& count) {
  if (!photo.header.several_scans) return;
  Pixels pixels;
  decoded(photo, &pixels, count);
}

Image resized(Photo& photo, const Run& count) {
  Pixels pixels;
  const std::vector<uint8_t> memory = decoded(photo, &pixels, [](const auto& run) { run(); });
  Image out(kSide, kSide);
  image::Resize resize;
  resize.in_width = photo.header.width;
  resize.in_height = photo.header.height;
  resize.out_width = resize.out_height = kSide;
  resize.region = {0, 0, kSide, kSide};
  image::Resampler resampler;
  count([&] { resampler.run(resize, pixels, out.pixels()); });
  return out;
}

Image crop_of(Photo& photo) {
  return resized(photo, [](const auto& run) { run(); });
}

void resample(Photo& photo, const Run& count) { resized(photo, count); }

void pack(Photo& photo, const Run& count) {
  constexpr float kMean[] = {0.485f, 0.456f, 0.406f};
  constexpr float kStd[] = {0.229f, 0.224f, 0.225f};
  static std::vector<float> table;
  static image::ValueMap map;
  if (table.empty()) {
    for (int channel = 0; channel < 3; ++channel) {
      for (int value = 0; value < 256; ++value) {
        table.push_back((static_cast<float>(value) / 255 - kMean[channel]) / kStd[channel]);
      }
    }
    map.table = table.data();
    image::find_arithmetic(&map, kMean, kStd, true);
  }
  const Image crop = crop_of(photo);
  std::vector<float> out(3 * kSide * kSide);
  count([&] { image::pack(crop.pixels(), map, image::Layout::chw, true, false, out.data(), kSimd); });
}

void recolour(Photo& photo, const Run& count) {
  const Image crop = crop_of(photo);
  const image::Recolour changes[] = {{image::Change::brightness, 1.2f, 0, {0, 1, 2}},
                                     {image::Change::contrast, 0.8f, 0, {0, 1, 2}},
                                     {image::Change::saturation, 1.3f, 0, {0, 1, 2}},
                                     {image::Change::hue, 0, 20, {0, 1, 2}}};
  count([&] {
    for (const image::Recolour& change : changes) image::recolour(change, crop.pixels(), {0, 0, kSide, kSide}, kSimd);
  });
}

// By fifteen degrees.
void rotate(Photo& photo, const Run& count) {
  const Image crop = crop_of(photo);
  const Image out(kSide, kSide);
  image::Warp warp;
  warp.filter = image::Filter::bilinear;
  warp.in_width = warp.in_height = warp.out_width = warp.out_height = kSide;
  warp.region = {0, 0, kSide, kSide};
  constexpr double kCos = 0.9659258262890683, kSin = 0.25881904510252074, kMiddle = kSide / 2.0;
  const double by[6] = {kCos, kSin, kMiddle - kMiddle * (kCos + kSin), -kSin, kCos, kMiddle - kMiddle * (kCos - kSin)};
  std::memcpy(warp.by, by, sizeof by);
  const Box need = image::needed_input(warp);
  Pixels source = crop.pixels();
  source.data += need.y * source.stride + 4 * static_cast<ptrdiff_t>(need.x);
  source.width = need.width;
  source.height = need.height;
  count([&] { image::warp(warp, source, out.pixels(), kSimd); });
}

void blur(Photo& photo, const Run& count) {
  const Image crop = crop_of(photo);
  Buffer scratch;
  count([&] { image::box_blur({1.5f, 1.5f}, crop.pixels(), &scratch, kSimd); });
}

const std::map<std::string, void (*)(Photo&, const Run&)> kStages = {
    {"parse", parse},       {"huffman", huffman}, {"decode", decode},     {"progressive", progressive}, {"resample", resample},
    {"pack", pack},         {"recolour", recolour}, {"rotate", rotate},   {"blur", blur}};

}  // namespace

int main(int argc, char** argv) {
  const auto stage = kStages.find(argc > 2 ? argv[1] : "");
  if (stage == kStages.end()) {
    for (const auto& [name, run] : kStages) std::printf("%s\n", name.c_str());
    return argc == 1 ? 0 : 2;
  }
  int counted = 0;
  for (const bool counts : {false, true}) {
    for (int i = 2; i < argc; ++i) {
      Photo photo(argv[i]);
      stage->second(photo, [&](const std::function<void()>& run) {
        counted += counts;
        if (counts) {
          measured(run);
        } else {
          run();
        }
      });
    }
  }
  std::printf("%d\n", counted);
  return 0;
}
