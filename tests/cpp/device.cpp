// The kernels on this machine, for the sanitizers: windows that they make of codes and of coefficients are those of the CPU's own way, and
// of damaged codes and records they make no more than that and read nothing that is not the image's.
// Usage: device JPEG [JPEG …].
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "device/host.h"
#include "device/work_builder.h"
#include "dice.h"
#include "engine/lane.h"
#include "given.h"
#include "io/crc32c.h"
#include "jpeg/decode.h"
#include "recipe/plan.h"

using namespace fastload;

namespace {

constexpr int kEvery[] = {1, 4, 8, 16, 32, 0};
constexpr int kWindows = 4;
constexpr int kMutations = 60;
constexpr size_t kChecked = 16;  // bytes of a record that its checksum is among

int failures = 0, compared = 0, refused = 0, passed = 0;

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

// Not a byte more than asked for, at a multiple of 16.
using Memory = std::unique_ptr<uint8_t, void (*)(void*)>;
Memory memory(size_t bytes) { return {static_cast<uint8_t*>(std::aligned_alloc(16, (bytes + 15) / 16 * 16)), std::free}; }

recipe::Plan plan_of(int width, int height, given::Dice* dice) {
  recipe::Plan plan;
  recipe::PlanBuilder builder(width, height, &plan);
  const int x = dice->between(0, width - 1), y = dice->between(0, height - 1);
  const int columns = dice->once_in(3) ? dice->between(1, std::min(20, width - x)) : dice->between(1, width - x);
  builder.crop({x, y, columns, dice->between(1, height - y)});
  const image::Filter filters[] = {image::Filter::bilinear, image::Filter::bicubic, image::Filter::box, image::Filter::lanczos,
                                   image::Filter::nearest};
  const auto order = static_cast<recipe::VerticalFirst>(dice->between(0, 2));
  if (!dice->once_in(4)) builder.resize(dice->between(1, 60), dice->between(1, 60), filters[dice->between(0, 4)], order);
  if (dice->once_in(2)) builder.flip(recipe::StepKind::flip_horizontal);
  if (dice->once_in(2)) builder.flip(recipe::StepKind::flip_vertical);
  if (!builder.finish().ok()) plan.count = -1;
  return plan;
}

// What the engine makes of the whole file, uint8 [height, width, 3].
std::vector<uint8_t> wanted_of(engine::Lane* lane, const std::vector<uint8_t>& data, const recipe::Plan& plan) {
  io::Source source;
  source.kind = io::SourceKind::memory;
  source.memory = span(data);
  std::vector<uint8_t> rgbx(size_t{4} * static_cast<size_t>(plan.width) * static_cast<size_t>(plan.height)), rgb;
  const bool done = lane->open(source, 0).ok() && lane->use(plan).ok() && lane->decode().ok() && lane->finish_rgbx(0, rgbx.data()).ok();
  lane->settle();
  for (size_t i = 0; done && i < rgbx.size(); i += 4) rgb.insert(rgb.end(), &rgbx[i], &rgbx[i] + 3);
  return rgb;
}

class Maker {
 public:
  // True: it can be made by the kernels.
  bool begin(const recipe::Plan& plan, const jpeg::Coefficients& planes, int32_t sampling) {
    plan_ = &plan;
    if (!recipe::two_forms(plan, forms_)) return false;
    builder_ = std::make_unique<device::WorkBuilder>(plan, forms_, planes, sampling);
    return true;
  }
  device::WorkBuilder& builder() { return *builder_; }

  // Where codes or coefficients belong.
  uint8_t* write() {
    const size_t works = sizeof(device::ImageWork);
    const size_t begin = (works + 127) / 128 * 128;
    block_ = memory(begin + builder_->block_bytes());
    std::memset(block_.get(), 0xA5, begin + builder_->block_bytes());
    auto* const work = reinterpret_cast<device::ImageWork*>(block_.get());
    return builder_->write(begin, block_.get() + begin, 0, &taps_, work);
  }

  // What went wrong.
  int run(std::vector<uint8_t>* out) {
    const Memory scratch = memory(builder_->scratch_bytes());
    std::memset(scratch.get(), 0x5A, builder_->scratch_bytes());
    out->assign(size_t{3} * static_cast<size_t>(plan_->width) * static_cast<size_t>(plan_->height), 7);
    int32_t fault = -1;
    device::make_images({block_.get(), scratch.get(), out->data(), &fault, 0, plan_->width, plan_->height, 1, 1});
    return fault;
  }

 private:
  const recipe::Plan* plan_ = nullptr;
  recipe::AxisForm forms_[2];
  image::Taps taps_;
  std::unique_ptr<device::WorkBuilder> builder_;
  Memory block_{nullptr, std::free};
};

void with_new_checksum(std::vector<uint8_t>* record) {
  const uint32_t before = io::crc32c({record->data(), 12});
  const uint32_t crc = io::crc32c({record->data() + kChecked, record->size() - kChecked}, before);
  std::memcpy(record->data() + 12, &crc, sizeof crc);
}

void change(std::vector<uint8_t>* bytes, size_t begin, size_t end, given::Dice* dice) {
  for (int i = dice->between(1, 3); i > 0 && begin < end; --i) {
    uint8_t& byte = (*bytes)[static_cast<size_t>(dice->between(static_cast<int>(begin), static_cast<int>(end) - 1))];
    byte = dice->once_in(3) ? 0xFF : static_cast<uint8_t>(dice->between(0, 255));
  }
}

// By the kernels, of whatever bytes and record; false: neither codes nor record are taken.
bool entered(Maker* maker, const std::vector<uint8_t>& data, const jpeg::EntryRecord& record, const recipe::Plan& plan, int* fault,
             std::vector<uint8_t>* out) {
  jpeg::Frame frame;
  if (!frame.read(record) || frame.width != plan.image_width || frame.height != plan.image_height) return false;
  if (!maker->begin(plan, frame.planes(plan.window), frame.sampling) || !maker->builder().take_codes(record, frame)) return false;
  const jpeg::Piece piece = maker->builder().piece();
  if (piece.at > data.size() || piece.size > data.size() - piece.at) return false;
  std::memcpy(maker->write(), data.data() + piece.at, piece.size);
  *fault = maker->run(out);
  return true;
}

// Whether the CPU's own way by the same record takes these codes.
bool takes(jpeg::Session* session, const std::vector<uint8_t>& data, const jpeg::EntryRecord& record, Box window) {
  jpeg::Header header;
  if (!session->open(record, 0, &header).ok() || !session->has_coefficients()) return false;
  const jpeg::Coefficients planes = session->coefficients(window);
  session->give(span(data), 0);
  std::vector<int16_t> numbers(planes.size());
  return session->read_coefficients(planes, numbers.data()).ok();
}

// Among the codes, which had none.
bool has_marker(const std::vector<uint8_t>& data, const jpeg::ScanLayout& layout) {
  bool found = false;
  for (size_t i = layout.scan_at; i < layout.scan_at + layout.scan_bytes; ++i) found |= data[i] == 0xFF && data[i + 1] != 0;
  return found;
}

void one_file(const std::string& path, engine::Lane* lane, given::Dice* dice) {
  const std::vector<uint8_t> data = read_all(path);
  jpeg::Session session;
  jpeg::Header header;
  for (const int every : kEvery) {
    std::vector<uint8_t> bytes;
    jpeg::EntryRecord record;
    if (!session.open(span(data), 0, &header).ok() || !session.read_codes(every).ok() || !session.take_record({}, &bytes)) return;
    for (int i = 0; i < kWindows; ++i) {
      const recipe::Plan plan = plan_of(header.width, header.height, dice);
      if (plan.count < 0) continue;
      if (!record.parse(span(bytes))) return expect(false, "a record");
      const std::vector<uint8_t> wanted = wanted_of(lane, data, plan);
      Maker maker;
      std::vector<uint8_t> made;
      int fault = 0;
      if (!entered(&maker, data, record, plan, &fault, &made)) continue;
      expect(fault == 0 && made == wanted, path + ": of codes, K = " + std::to_string(every));
      ++compared;
      if (session.open(span(data), 0, &header).ok() && session.has_coefficients()) {
        const jpeg::Coefficients planes = session.coefficients(plan.window);
        expect(maker.begin(plan, planes, header.sampling), "a plan of two passes");
        maker.builder().take_coefficients(planes);
        expect(session.read_coefficients(planes, reinterpret_cast<int16_t*>(maker.write())).ok(), "coefficients");
        expect(maker.run(&made) == 0 && made == wanted, path + ": of coefficients");
      }
      for (int k = 0; k < kMutations; ++k) {
        std::vector<uint8_t> bad_data = data, bad_bytes = bytes;
        const size_t scan = record.layout().scan_at;
        if (k % 3 != 0) change(&bad_data, scan, data.size(), dice);
        if (k % 3 != 1) change(&bad_bytes, kChecked + 16, bytes.size(), dice);
        with_new_checksum(&bad_bytes);
        jpeg::EntryRecord bad;
        if (!bad.parse(span(bad_bytes)) || !entered(&maker, bad_data, bad, plan, &fault, &made)) continue;
        ++(fault == 0 ? passed : refused);
        if (k % 3 != 1 || !session.open(span(data), 0, &header).ok() || !session.has_coefficients()) continue;
        // Of changed codes it takes no more than the CPU's way, but for markers among those behind the window that it does not read.
        const bool is_taken = takes(&session, bad_data, bad, plan.window);
        expect(fault == 0 || !is_taken, path + ": what the CPU takes is taken");
        if (fault != 0) continue;
        if (!is_taken) {
          expect(has_marker(bad_data, record.layout()), path + ": what is damaged is refused");
          continue;
        }
        session.open(bad, 0, &header);
        const jpeg::Coefficients planes = session.coefficients(plan.window);
        session.give(span(bad_data), 0);
        std::vector<uint8_t> theirs;
        if (!maker.begin(plan, planes, header.sampling)) continue;
        maker.builder().take_coefficients(planes);
        expect(session.read_coefficients(planes, reinterpret_cast<int16_t*>(maker.write())).ok(), "coefficients");
        expect(maker.run(&theirs) == 0 && theirs == made, path + ": of changed codes");
      }
    }
  }
}

// Of a batch's scratch memory there is no more than so much.
void bounded() {
  std::vector<std::vector<uint8_t>> blocks;
  engine::Slabs slabs(std::make_shared<engine::BatchMemory>([&](int, size_t bytes, const std::vector<int>&) {
    return blocks.emplace_back(bytes).data();
  }));
  engine::Works works(3);
  engine::Works::Room first, second;
  expect(!works.reserve(&slabs, 64, engine::Works::kMostScratch + 1, &first), "too much at once");
  expect(works.reserve(&slabs, 64, engine::Works::kMostScratch - 1000, &first) && first.scratch_at == 0, "nearly all");
  expect(!works.reserve(&slabs, 64, 2000, &second), "too much in all");
  expect(works.reserve(&slabs, 64, 200, &second) && second.scratch_at == engine::Works::kMostScratch - 896, "what is left");
  expect(second.block_at == first.block_at + 128 && works.sizes().scratch_bytes == engine::Works::kMostScratch - 640, "places");
  expect(!works.reserve(&slabs, engine::Slabs::kSlabBytes + 1, 0, &second), "more than a slab");
}

}  // namespace

int main(int argc, char** argv) {
  given::Dice dice;
  engine::Lane lane(image::best_simd());
  bounded();
  for (int i = 1; i < argc; ++i) one_file(argv[i], &lane, &dice);
  std::printf("%d windows compared; of changed ones %d were refused, %d not\n", compared, refused, passed);
  expect(compared > 0 && refused > 0, "there is something to compare");
  return failures == 0 ? 0 : 1;
}
