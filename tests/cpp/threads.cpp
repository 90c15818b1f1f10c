// What threads share below the bindings, for the sanitizers: lanes that many borrow, one engine and one draw order that many use,
// stops at every moment, and a file that never answers.
// Usage: threads SECONDS JPEG [JPEG …]. Exits 0 when all pixels are those of one thread and every wait has an end.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/lanes.h"
#include "given.h"

using namespace fastload;

namespace {

constexpr int kSide = 32;
constexpr size_t kSampleBytes = 3 * kSide * kSide;
constexpr int kThreads = 6;

struct Given {
  std::vector<std::string> paths;
  std::shared_ptr<const engine::Target> target = given::byte_target();
  std::shared_ptr<const recipe::Recipe> recipe = given::resize_to(kSide);
};

template <typename Work>
void in_threads(Work work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
}

std::vector<uint8_t> read(engine::Lanes& lanes, const Given& given, size_t file) {
  std::vector<uint8_t> out(kSampleBytes);
  const engine::Lanes::Borrowed lane = lanes.borrow();
  random::Philox generator(1, 2, 3);
  if (!lane->open(given::file(given.paths[file]), 0).ok() || !lane->draw(*given.recipe, generator).ok() ||
      !lane->decode().ok())
    return {};
  lane->finish(*given.target, out.data());
  return out;
}

bool lanes_are_lent_to_one_at_a_time(const Given& given) {
  engine::Lanes lanes(image::best_simd());
  std::vector<std::vector<uint8_t>> expected;
  for (size_t file = 0; file < given.paths.size(); ++file) expected.push_back(read(lanes, given, file));
  std::atomic<bool> same{true};
  in_threads([&](int thread) {
    for (size_t at = 0; at < 2 * expected.size(); ++at) {
      const size_t file = (at + static_cast<size_t>(thread)) % expected.size();
      if (read(lanes, given, file) != expected[file]) same = false;
    }
  });
  return same;
}

std::shared_ptr<engine::Batch> batch_of(const Given& given, size_t count, uint8_t* out,
                                        const std::shared_ptr<engine::DrawOrder>& order) {
  engine::Request asked = given::request(given.paths, count, kSide, out);
  asked.order = order;
  return std::make_shared<engine::Batch>(std::move(asked));
}

// Whoever submits at the same time, turns are in the order of the queue: else a single thread would wait for itself.
bool turns_are_in_the_order_of_the_queue(const Given& given) {
  for (const int own : {1, 2}) {
    engine::Engine engine(own, image::best_simd(), nullptr);
    const auto order = std::make_shared<engine::DrawOrder>(random::Mt19937(1));
    std::atomic<bool> came{true};
    in_threads([&](int) {
      std::vector<uint8_t> out(3 * kSampleBytes);
      for (int i = 0; i < 5; ++i) {
        const auto batch = batch_of(given, 3, out.data(), order);
        engine.submit(batch);
        order->generators_between_turns();
        if (!batch->wait(engine::Phase::done, 60000)) came = false;
      }
    });
    if (!came) return false;
  }
  return true;
}

// What is submitted while the engine stops is cancelled or done, never left waiting.
bool all_ends_with_a_stop(const Given& given, int round) {
  engine::Engine engine(2, image::best_simd(), nullptr);
  std::atomic<bool> came{true};
  in_threads([&](int thread) {
    if (thread == 0) {
      usleep(static_cast<useconds_t>(round % 10) * 100);
      engine.stop();
      return;
    }
    std::vector<uint8_t> out(4 * kSampleBytes);
    for (int i = 0; i < 10; ++i) {
      const auto order = i % 2 == 0 ? nullptr : std::make_shared<engine::DrawOrder>(random::Mt19937(1));
      const auto batch = batch_of(given, 4, out.data(), order);
      engine.submit(batch);
      if (thread == 1) engine.abandon(*batch);
      if (!batch->wait(engine::Phase::done, 60000)) came = false;
    }
  });
  return came;
}

// One thread is stuck at a pipe, another waits for its turn: the end of the engine waits for neither, and both end when they can.
bool a_stuck_thread_is_left_behind(const Given& given, const std::string& pipe) {
  auto out = std::make_shared<std::vector<uint8_t>>(3 * kSampleBytes);
  std::shared_ptr<engine::Batch> batch;
  const auto began = std::chrono::steady_clock::now();
  {
    engine::Engine engine(2, image::best_simd(), nullptr);
    engine::Request asked = given::request(given.paths, 3, kSide, out->data());
    asked.samples[0].source.path = pipe;
    asked.order = std::make_shared<engine::DrawOrder>(random::Mt19937(1));
    asked.owned = out;
    batch = std::make_shared<engine::Batch>(std::move(asked));
    engine.submit(batch);
    usleep(20000);
    engine.stop(std::chrono::milliseconds(50));
  }
  if (std::chrono::steady_clock::now() - began > std::chrono::seconds(30)) return false;
  for (int i = 0; i < 3000 && !batch->wait(engine::Phase::done, 20); ++i) {
    const int writer = open(pipe.c_str(), O_WRONLY | O_NONBLOCK);  // whoever reads is let go
    if (writer >= 0) close(writer);
  }
  return batch->phase() == engine::Phase::done;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: threads SECONDS JPEG [JPEG ...]\n");
    return 2;
  }
  const Given given{{argv + 2, argv + argc}};
  char folder[] = "/tmp/fastload-threads-XXXXXX";
  if (mkdtemp(folder) == nullptr) return 2;
  const std::string pipe = std::string(folder) + "/pipe";
  if (mkfifo(pipe.c_str(), 0600) != 0) return 2;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[1]));
  const char* failed = nullptr;
  int round = 0;
  do {
    if (!lanes_are_lent_to_one_at_a_time(given)) failed = "lanes";
    if (!turns_are_in_the_order_of_the_queue(given)) failed = "turns";
    if (!all_ends_with_a_stop(given, round)) failed = "stop";
    if (!a_stuck_thread_is_left_behind(given, pipe)) failed = "a stuck thread";
    ++round;
  } while (failed == nullptr && std::chrono::steady_clock::now() < end);
  unlink(pipe.c_str());
  rmdir(folder);
  if (failed != nullptr) {
    std::fprintf(stderr, "round %d: %s\n", round, failed);
    return 1;
  }
  std::printf("%d rounds\n", round);
  return 0;
}
