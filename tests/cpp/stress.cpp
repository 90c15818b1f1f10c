// Engines under load, for the sanitizers: many batches, draw orders, failures, fallbacks, cancels and stops at every moment.
// Usage: stress SECONDS JPEG [JPEG …]. Exits 0 when every finished batch has the pixels that one thread gives.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "given.h"

using namespace fastload;

namespace {

constexpr int kSide = 40;
constexpr size_t kSampleBytes = 3 * kSide * kSide;

std::vector<uint8_t> read_all(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Turns the image, and warps the crop of it in two ways.
std::vector<recipe::Transform> warps() {
  std::vector<recipe::Transform> made(3);
  recipe::Transform& rotation = made[0];
  rotation.kind = recipe::Kind::random_rotation;
  rotation.filter = image::Filter::nearest;
  rotation.expand = true;
  recipe::Transform& affine = made[1];
  affine.kind = recipe::Kind::random_affine;
  affine.filter = image::Filter::bicubic;
  affine.moves = true;
  affine.shares[0] = affine.shares[1] = 1;
  for (recipe::Transform* transform : {&rotation, &affine}) {
    transform->least[0] = -180;
    transform->most[0] = 180;
  }
  for (int i = 1; i < 4; ++i) {
    affine.varies[i] = true;
    affine.least[i] = i == 1 ? 0.1f : -80;
    affine.most[i] = i == 1 ? 5.0f : 80;
  }
  recipe::Transform& perspective = made[2];
  perspective.kind = recipe::Kind::random_perspective;
  perspective.p = 0.7;
  perspective.distortion = 1;
  return made;
}

// In place of torch.
bool no_perspective(const recipe::Corners&, int32_t, int32_t, float out[8]) {
  for (int i = 0; i < 8; ++i) out[i] = i % 4 == 0 ? 1 : 0;
  return true;
}

std::shared_ptr<const recipe::Recipe> crop_and_flip() {
  auto made = std::make_shared<recipe::Recipe>();
  recipe::Transform crop;
  crop.kind = recipe::Kind::random_resized_crop;
  crop.width = crop.height = kSide;
  crop.scale[0] = 0.08;
  crop.scale[1] = 1.0;
  crop.ratio[0] = 0.75;
  crop.ratio[1] = 4.0 / 3.0;
  crop.log_ratio[0] = -0.28768207f;
  crop.log_ratio[1] = 0.28768207f;
  recipe::Transform sharpen;
  sharpen.kind = recipe::Kind::random_recolour;
  sharpen.p = 0.5;
  sharpen.recolour.change = image::Change::sharpness;
  sharpen.recolour.factor = 2;
  recipe::Transform jitter;
  jitter.kind = recipe::Kind::color_jitter;
  for (int i = 0; i < 4; ++i) {
    jitter.varies[i] = true;
    jitter.least[i] = i < 3 ? 0.5f : -0.5f;
    jitter.most[i] = i < 3 ? 1.5f : 0.5f;
  }
  recipe::Transform flip;
  flip.kind = recipe::Kind::random_horizontal_flip;
  flip.p = 0.5f;
  const std::vector<recipe::Transform> warp = warps();
  made->transforms = {warp[0], sharpen, crop, flip, warp[1], jitter, warp[2], sharpen};
  made->torch_perspective = no_perspective;
  return made;
}

struct Work {
  std::shared_ptr<engine::Batch> batch;
  std::vector<uint8_t> out;
};

// Blocks that live as long as the memory does.
std::shared_ptr<engine::BatchMemory> make_memory() {
  struct Blocks {
    std::mutex mutex;
    std::vector<std::unique_ptr<uint8_t[]>> all;
  };
  return std::make_shared<engine::BatchMemory>(
      [blocks = std::make_shared<Blocks>()](int, size_t bytes, const std::vector<int>&) {
        const std::lock_guard<std::mutex> lock(blocks->mutex);
        blocks->all.emplace_back(new uint8_t[bytes]);
        return blocks->all.back().get();
      });
}

class Stress {
 public:
  Stress(int files, char** names) : target_(given::byte_target()), recipe_(crop_and_flip()) {
    for (int i = 0; i < files; ++i) {
      paths_.emplace_back(names[i]);
      bytes_.push_back(read_all(names[i]));
    }
    damaged_ = bytes_.front();
    damaged_.resize(damaged_.size() / 2);
  }

  Work make(uint32_t seed, const std::shared_ptr<engine::DrawOrder>& order, bool with_damage,
            engine::Defer defer = engine::Defer::nothing,
            const std::shared_ptr<engine::BatchMemory>& memory = nullptr) {
    std::mt19937 dice(seed);
    Work work;
    engine::Request asked;
    const size_t count = dice() % 12;
    work.out.assign(count * kSampleBytes, 0);
    asked.samples.resize(count);
    for (engine::Sample& sample : asked.samples) {
      const size_t file = dice() % paths_.size();
      sample.index = dice();
      sample.source.kind = dice() % 2 == 0 ? io::SourceKind::path : io::SourceKind::memory;
      sample.source.path = paths_[file];
      sample.source.memory = {bytes_[file].data(), bytes_[file].size()};
      if (with_damage && dice() % 6 == 0) {
        sample.source.kind = io::SourceKind::memory;
        sample.source.memory = {damaged_.data(), damaged_.size()};
      }
    }
    asked.recipe = recipe_;
    asked.target = target_;
    asked.out = work.out.data();
    asked.memory = memory;
    asked.sample_bytes = kSampleBytes;
    asked.out_width = asked.out_height = kSide;
    asked.stop_at_failure = dice() % 2 == 0;
    asked.order = order;
    asked.seed = 7;
    asked.defer = defer;
    work.batch = std::make_shared<engine::Batch>(std::move(asked));
    return work;
  }

 private:
  std::vector<std::string> paths_;
  std::vector<std::vector<uint8_t>> bytes_;
  std::vector<uint8_t> damaged_;
  std::shared_ptr<const engine::Target> target_;
  std::shared_ptr<const recipe::Recipe> recipe_;
};

// Every third damaged sample is answered with a plain picture.
Status answer(const engine::Batch& batch, size_t slot, Status why, engine::Lane* lane) {
  if (batch.asked.samples[slot].index % 3 != 0) return why;
  const Pixels pixels = lane->adopt(64, 48);
  for (int y = 0; y < pixels.height; ++y) std::memset(pixels.row(y), y, 4 * static_cast<size_t>(pixels.width));
  return {};
}

void wait_for(const Work& work) {
  while (!work.batch->wait(engine::Phase::done, 1000)) {
  }
}

// The same samples were deferred, and the same coefficients of each.
bool same_coefficients(const engine::Batch& one, const engine::Batch& other) {
  for (size_t slot = 0; slot < one.asked.samples.size(); ++slot) {
    const engine::Deferred& a = one.results.deferred[slot];
    const engine::Deferred& b = other.results.deferred[slot];
    if (a.pending != b.pending) return false;
    if (!a.pending) continue;
    const size_t bytes = a.coefficients.size() * sizeof(int16_t);
    if (bytes != b.coefficients.size() * sizeof(int16_t)) return false;
    if (std::memcmp(a.numbers, b.numbers, bytes) != 0) return false;
  }
  return true;
}

// Batches whose codes are read by one thread and by many: the same outcomes, pixels where there are some, and coefficients.
bool codes_equal_to_one_thread(Stress& stress, uint32_t seed, const std::shared_ptr<engine::BatchMemory>& memory) {
  std::vector<std::vector<Work>> runs;
  for (const int threads : {1, 5}) {
    engine::Engine engine(threads, image::best_simd(), answer);
    const auto order = std::make_shared<engine::DrawOrder>(random::Mt19937(seed));
    runs.emplace_back();
    for (uint32_t i = 0; i < 6; ++i) {
      runs.back().push_back(stress.make(seed * 8 + i, order, i % 2 == 0, engine::Defer::windows, memory));
      engine.submit(runs.back().back().batch);
    }
    for (Work& work : runs.back()) wait_for(work);
  }
  for (size_t i = 0; i < runs[0].size(); ++i) {
    const Work& one = runs[0][i];
    const Work& many = runs[1][i];
    for (size_t slot = 0; slot < one.batch->asked.samples.size(); ++slot) {
      if (one.batch->results.outcomes[slot].code != many.batch->results.outcomes[slot].code) return false;
      if (std::memcmp(&one.out[slot * kSampleBytes], &many.out[slot * kSampleBytes], kSampleBytes) != 0) return false;
    }
    if (!same_coefficients(*one.batch, *many.batch)) return false;
  }
  return true;
}

std::vector<size_t> every_other_slot(const engine::Batch& batch, size_t first) {
  std::vector<size_t> slots;
  for (size_t slot = first; slot < batch.asked.samples.size(); slot += 2) slots.push_back(slot);
  return slots;
}

// A chain of batches on one draw order, with one thread, and with many that defer some samples to another decoder, from which
// all are reclaimed: the same bytes and the same outcomes.
bool equal_to_one_thread(Stress& stress, uint32_t seed) {
  std::vector<std::vector<Work>> runs;
  for (const int threads : {1, 5}) {
    engine::Engine engine(threads, image::best_simd(), answer);
    const auto order = std::make_shared<engine::DrawOrder>(random::Mt19937(seed));
    runs.emplace_back();
    for (uint32_t i = 0; i < 8; ++i) {
      const engine::Defer defer = threads > 1 && i % 4 != 0 ? engine::Defer::bytes : engine::Defer::nothing;
      runs.back().push_back(stress.make(seed * 8 + i, order, i % 2 == 0, defer));
      engine.submit(runs.back().back().batch);
    }
    for (Work& work : runs.back()) {
      while (!work.batch->wait(engine::Phase::planned, 1000)) {
      }
      for (const size_t part : {0, 1}) {
        wait_for(work);
        engine.reclaim(work.batch, every_other_slot(*work.batch, part));
      }
      wait_for(work);
    }
  }
  for (size_t i = 0; i < runs[0].size(); ++i) {
    const Work& one = runs[0][i];
    const Work& many = runs[1][i];
    for (size_t slot = 0; slot < one.batch->asked.samples.size(); ++slot) {
      if (one.batch->results.outcomes[slot].code != many.batch->results.outcomes[slot].code) return false;
      if (one.batch->results.outcomes[slot].code != Code::ok) continue;
      if (std::memcmp(&one.out[slot * kSampleBytes], &many.out[slot * kSampleBytes], kSampleBytes) != 0) return false;
    }
  }
  return true;
}

// Cancels and stops while samples run and wait for their turns.
void interrupt(Stress& stress, uint32_t seed, const std::shared_ptr<engine::BatchMemory>& memory) {
  std::mt19937 dice(seed);
  std::vector<Work> works;
  engine::Engine engine(1 + static_cast<int>(dice() % 4), image::best_simd(), answer);
  const auto first = std::make_shared<engine::DrawOrder>(random::Mt19937(seed));
  const auto second = std::make_shared<engine::DrawOrder>(random::Mt19937(seed + 1));
  for (uint32_t i = 0; i < 10; ++i) {
    const auto defer = static_cast<engine::Defer>(dice() % 3);
    works.push_back(stress.make(seed * 16 + i,
                                i % 3 == 0   ? nullptr
                                : i % 3 == 1 ? first
                                             : second,
                                true, defer, memory));
    engine.submit(works.back().batch);
  }
  usleep(dice() % 2000);
  for (const Work& work : works) {
    if (work.batch->phase() == engine::Phase::done)
      engine.reclaim(work.batch, every_other_slot(*work.batch, dice() % 2));
  }
  switch (dice() % 3) {
    case 0:
      for (Work& work : works) engine.cancel(*work.batch);
      break;
    case 1:
      for (auto work = works.rbegin(); work != works.rend(); ++work) engine.cancel(*work->batch);
      break;
    default: engine.stop();
  }
}

// The last owner of an engine lets go of it within a call from one of its threads.
void end_from_within(Stress& stress, uint32_t seed) {
  struct Owner {
    std::mutex mutex;
    std::unique_ptr<engine::Engine> engine;
    std::unique_ptr<engine::Engine> take() {
      const std::lock_guard<std::mutex> lock(mutex);
      return std::move(engine);
    }
  };
  const auto owner = std::make_shared<Owner>();
  const engine::Fallback drop = [owner](const engine::Batch&, size_t, Status why, engine::Lane*) {
    owner->take();
    return why;
  };
  owner->engine = std::make_unique<engine::Engine>(3, image::best_simd(), drop);
  const auto order = std::make_shared<engine::DrawOrder>(random::Mt19937(seed));
  std::vector<Work> submitted;
  for (uint32_t i = 0; i < 10; ++i) {
    Work work = stress.make(seed * 16 + i, i % 2 == 0 ? order : nullptr, true);
    const std::lock_guard<std::mutex> lock(owner->mutex);
    if (!owner->engine) break;
    owner->engine->submit(work.batch);
    submitted.push_back(std::move(work));
  }
  for (Work& work : submitted) {
    while (!work.batch->wait(engine::Phase::done, 1000)) {
    }
  }
  owner->take();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: stress SECONDS JPEG [JPEG ...]\n");
    return 2;
  }
  Stress stress(argc - 2, argv + 2);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[1]));
  const auto memory = make_memory();
  uint32_t round = 0;
  do {
    ++round;
    if (!equal_to_one_thread(stress, round)) {
      std::fprintf(stderr, "round %u: threads change the result\n", round);
      return 1;
    }
    if (!codes_equal_to_one_thread(stress, round, memory)) {
      std::fprintf(stderr, "round %u: threads change what is read of the codes\n", round);
      return 1;
    }
    interrupt(stress, round, memory);
    end_from_within(stress, round);
  } while (std::chrono::steady_clock::now() < end);
  std::printf("%u rounds\n", round);
  return 0;
}
