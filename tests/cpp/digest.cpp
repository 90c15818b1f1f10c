// What this build makes of images, as numbers to compare with another build's, of another processor: of each file and recipe a line with
// a checksum of the finished tensor, or the code of the error. `make check-arm` compares two. Usage: digest JPEG [JPEG …]
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "engine/lane.h"
#include "given.h"
#include "io/crc32c.h"

using namespace fastload;
using recipe::Kind;
using recipe::Transform;

namespace {

Transform of(Kind kind, double p = 1) {
  Transform made;
  made.kind = kind;
  made.p = p;
  return made;
}

Transform sized(Kind kind, int32_t height, int32_t width, image::Filter filter = image::Filter::bilinear) {
  Transform made = of(kind);
  made.height = height;
  made.width = width;
  made.filter = filter;
  return made;
}

Transform random_resized_crop() {
  Transform made = sized(Kind::random_resized_crop, 64, 64, image::Filter::bicubic);
  made.scale[0] = 0.08;
  made.scale[1] = 1;
  made.ratio[0] = 0.75;
  made.ratio[1] = 4.0 / 3.0;
  made.log_ratio[0] = -0.28768208622932434f;  // torch.log(torch.tensor(ratio))
  made.log_ratio[1] = 0.28768208622932434f;
  return made;
}

Transform jitter() {
  Transform made = of(Kind::color_jitter);
  for (int i = 0; i < 4; ++i) {
    made.varies[i] = true;
    made.least[i] = i == 3 ? -0.3f : 0.4f;
    made.most[i] = i == 3 ? 0.3f : 1.7f;
  }
  return made;
}

Transform affine() {
  Transform made = of(Kind::random_affine);
  const float most[4] = {30, 1.3f, 12, 7};
  for (int i = 0; i < 4; ++i) {
    made.varies[i] = true;
    made.least[i] = i == 1 ? 0.8f : -most[i];
    made.most[i] = most[i];
  }
  made.moves = true;
  made.shares[0] = made.shares[1] = 0.2;
  return made;
}

Transform perspective() {
  Transform made = of(Kind::random_perspective);
  made.distortion = 0.5;
  return made;
}

Transform pillow_blur() {
  Transform made = of(Kind::pillow_blur);
  made.scale[0] = made.scale[1] = 1.7;
  return made;
}

Transform changed(image::Change change, float factor, int32_t level) {
  Transform made = of(Kind::recolour);
  made.recolour = {change, factor, level, {0, 1, 2}};
  return made;
}

const std::map<std::string, std::vector<Transform>> kRecipes = {
    {"as it is", {}},
    {"affine", {sized(Kind::resize, 70, 60), affine()}},
    {"box", {sized(Kind::resize, 33, 47, image::Filter::box)}},
    {"colours", {sized(Kind::resize, 40, 40), jitter(), of(Kind::random_grayscale, 0.3)}},
    {"evaluation", {sized(Kind::resize, 0, 50), sized(Kind::center_crop, 44, 44)}},
    {"hamming", {sized(Kind::resize, 90, 31, image::Filter::hamming)}},
    {"lanczos", {sized(Kind::resize, 31, 90, image::Filter::lanczos)}},
    {"nearest", {sized(Kind::resize, 45, 45, image::Filter::nearest)}},
    {"perspective", {sized(Kind::resize, 50, 50), perspective()}},
    {"blur", {sized(Kind::resize, 50, 70), pillow_blur()}},
    {"training", {random_resized_crop(), of(Kind::random_horizontal_flip, 0.5)}},
    {"tones",
     {sized(Kind::resize, 40, 40), changed(image::Change::equalize, 0, 0), changed(image::Change::sharpness, 1.9f, 0),
      changed(image::Change::autocontrast, 0, 0), changed(image::Change::posterize, 0, 5),
      changed(image::Change::solarize, 0, 130)}},
};

// float32, normalised: the one that may be computed instead of looked up.
engine::Target normalised() {
  constexpr float kMean[] = {0.485f, 0.456f, 0.406f}, kStd[] = {0.229f, 0.224f, 0.225f};
  engine::Target target;
  target.table.resize(3 * 256 * sizeof(float));
  auto* value = reinterpret_cast<float*>(target.table.data());
  for (int channel = 0; channel < 3; ++channel)
    for (int byte = 0; byte < 256; ++byte) *value++ = (static_cast<float>(byte) / 255 - kMean[channel]) / kStd[channel];
  target.element_bytes = sizeof(float);
  target.values.table = target.table.data();
  image::find_arithmetic(&target.values, kMean, kStd, true);
  return target;
}

void digest(const std::string& path, const std::string& name, const std::vector<Transform>& transforms,
            const engine::Target& target) {
  const std::string file_name = path.substr(path.rfind('/') + 1);
  recipe::Recipe recipe;
  recipe.transforms = transforms;
  engine::Lane lane(image::best_simd());
  random::Mt19937 generator(7);
  Status status = lane.open(given::file(path), 0);
  if (status.ok()) status = lane.draw(recipe, generator);
  if (status.ok()) status = lane.decode();
  std::vector<uint8_t> out;
  if (status.ok()) {
    const auto pixels = static_cast<size_t>(lane.plan().width) * static_cast<size_t>(lane.plan().height);
    out.resize(3 * pixels * target.element_bytes);
    status = lane.finish(target, out.data());
  }
  if (status.ok()) {
    std::printf("%s %s %zu %08x %08x\n", file_name.c_str(), name.c_str(), out.size(),
                io::crc32c({out.data(), out.size()}), generator.next());
  } else {
    std::printf("%s %s error %d\n", file_name.c_str(), name.c_str(), static_cast<int>(status.code));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto bytes = given::byte_target();
  const engine::Target floats = normalised();
  for (int i = 1; i < argc; ++i) {
    for (const auto& [name, transforms] : kRecipes) {
      digest(argv[i], name, transforms, *bytes);
      digest(argv[i], name + ", normalised", transforms, floats);
    }
  }
  return argc > 1 ? 0 : 2;
}
