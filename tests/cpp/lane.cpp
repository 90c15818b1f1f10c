// A lane's calls in every order: what engine/lane_state.h does not allow fails, does nothing, and leaves the lane as good as it was.
// Usage: lane JPEG [JPEG …], one of them plain, 4:4:4 or 4:2:0. Exits 0 when all is as it should be.
#include "engine/lane.h"
#include "engine/works.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "given.h"

using namespace fastload;
using engine::Keep;
using engine::Lane;

namespace {

constexpr int kSide = 24;
constexpr uint8_t kUntouched = 0xA5;

int failures = 0;

void expect(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what.c_str());
  ++failures;
}

struct Test {
  std::string path;
  int32_t width = 0, height = 0;
  recipe::Plan plan;
  std::vector<uint8_t> expected;

  std::shared_ptr<const engine::Target> target = given::byte_target();
  std::shared_ptr<const recipe::Recipe> recipe = given::resize_to(kSide);
  std::shared_ptr<engine::BytePool> pool = std::make_shared<engine::BytePool>();
  std::vector<std::vector<uint8_t>> blocks;
  std::shared_ptr<engine::BatchMemory> memory =
      std::make_shared<engine::BatchMemory>([this](int, size_t bytes, const std::vector<int>&) {
        blocks.emplace_back(bytes);
        return blocks.back().data();
      });
  engine::Slabs slabs{memory};
  engine::Works works{1};
  engine::Deferred deferred;
  Keep why = Keep::count;
  std::vector<uint8_t> out = std::vector<uint8_t>(3 * kSide * kSide, kUntouched);

  Status open(Lane& lane) const { return lane.open(given::file(path), 0); }
  Status draw(Lane& lane) const {
    random::Philox generator(1, 2, 3);
    return lane.draw(*recipe, generator);
  }
  Status use(Lane& lane) const { return lane.use(plan); }
  Status defer_bytes(Lane& lane) { return lane.defer_bytes(pool, &deferred, &why); }
  Status defer_window(Lane& lane) { return lane.defer_window(&slabs, &works, 0, &deferred, &why); }
  Status read_window(Lane& lane) const { return lane.read_window(deferred); }
  Status decode(Lane& lane) const { return lane.decode(); }
  Status finish(Lane& lane) { return lane.finish(*target, out.data()); }

  void adopt(Lane& lane, int32_t by) const {
    const Pixels pixels = lane.adopt(width + by, height + by);
    for (int32_t y = 0; y < pixels.height; ++y)
      std::fill_n(pixels.row(y), 4 * static_cast<size_t>(pixels.width), uint8_t{9});
  }

  // From the beginning; false where it is not as at first.
  bool makes_the_sample(Lane& lane) {
    std::fill(out.begin(), out.end(), kUntouched);
    if (!open(lane).ok() || !draw(lane).ok() || !decode(lane).ok() || !finish(lane).ok()) return false;
    return out == expected;
  }
};

using Call = Status (*)(Test&, Lane&);

struct Named {
  const char* name;
  Call call;
};

const Named kCalls[] = {
    {"draw", [](Test& t, Lane& lane) { return t.draw(lane); }},
    {"use", [](Test& t, Lane& lane) { return t.use(lane); }},
    {"defer_bytes", [](Test& t, Lane& lane) { return t.defer_bytes(lane); }},
    {"defer_window", [](Test& t, Lane& lane) { return t.defer_window(lane); }},
    {"read_window", [](Test& t, Lane& lane) { return t.read_window(lane); }},
    {"decode", [](Test& t, Lane& lane) { return t.decode(lane); }},
    {"finish", [](Test& t, Lane& lane) { return t.finish(lane); }},
};

struct State {
  const char* name;
  std::function<void(Test&, Lane&)> reach;
  std::vector<std::string> allowed;
  bool is_mismatched = false;
};

const std::vector<State> kStates = {
    {"new", [](Test&, Lane&) {}, {}},
    {"open failed", [](Test&, Lane& lane) { lane.open(given::file("/no/such/file"), 0); }, {}},
    {"opened", [](Test& t, Lane& lane) { t.open(lane); }, {"draw", "use"}},
    {"settled", [](Test& t, Lane& lane) { t.open(lane), lane.settle(); }, {}},
    {"adopted", [](Test& t, Lane& lane) { t.adopt(lane, 0); }, {"draw", "use"}},
    {"drawn", [](Test& t, Lane& lane) { t.open(lane), t.draw(lane); }, {"defer_bytes", "defer_window", "decode"}},
    {"used", [](Test& t, Lane& lane) { t.open(lane), t.use(lane); }, {"defer_bytes", "defer_window", "decode"}},
    {"deferred as bytes", [](Test& t, Lane& lane) { t.open(lane), t.draw(lane), t.defer_bytes(lane); }, {}},
    {"deferred as a window",
     [](Test& t, Lane& lane) { t.open(lane), t.draw(lane), t.defer_window(lane); },
     {"read_window"}},
    {"read as a window",
     [](Test& t, Lane& lane) { t.open(lane), t.draw(lane), t.defer_window(lane), t.read_window(lane); },
     {}},
    {"decoded", [](Test& t, Lane& lane) { t.open(lane), t.draw(lane), t.decode(lane); }, {"decode", "finish"}},
    {"adopted when drawn",
     [](Test& t, Lane& lane) { t.open(lane), t.draw(lane), t.adopt(lane, 0); },
     {"decode", "finish"}},
    {"adopted when deferred",
     [](Test& t, Lane& lane) { t.open(lane), t.draw(lane), t.defer_bytes(lane), t.adopt(lane, 0); },
     {"decode", "finish"}},
    {"finished", [](Test& t, Lane& lane) { t.open(lane), t.draw(lane), t.decode(lane), t.finish(lane); }, {}},
    {"adopted too large", [](Test& t, Lane& lane) { t.open(lane), t.draw(lane), t.adopt(lane, 8); }, {}, true},
    {"adopted too small", [](Test& t, Lane& lane) { t.open(lane), t.draw(lane), t.adopt(lane, -8); }, {}, true},
    {"used for another size", [](Test& t, Lane& lane) { t.adopt(lane, 8), t.use(lane); }, {}, true},
};

// Every call in every state.
void orders(Test& test) {
  for (const State& state : kStates) {
    for (const Named& named : kCalls) {
      const std::string what = std::string(named.name) + "() when " + state.name;
      Lane lane(image::best_simd());
      state.reach(test, lane);
      std::fill(test.out.begin(), test.out.end(), kUntouched);
      test.why = Keep::count;
      const Status status = named.call(test, lane);
      const bool is_of_pixels = named.name == std::string("decode") || named.name == std::string("finish");
      const bool is_allowed = std::find(state.allowed.begin(), state.allowed.end(), named.name) != state.allowed.end();
      const Code wanted = is_allowed                            ? Code::ok
                          : state.is_mismatched && is_of_pixels ? Code::unreadable
                                                                : Code::damaged;
      expect(status.code == wanted, what + " is " + (is_allowed ? "right" : "wrong"));
      if (!is_allowed) {
        const auto untouched = [](uint8_t byte) { return byte == kUntouched; };
        expect(std::all_of(test.out.begin(), test.out.end(), untouched) && test.why == Keep::count,
               what + " writes nothing");
      }
      expect(test.makes_the_sample(lane), what + " leaves the lane as good as it was");
    }
  }
}

// A wrong call in the midst of a sample does not end it.
void goes_on(Test& test) {
  for (const Named& wrong : kCalls) {
    Lane lane(image::best_simd());
    test.open(lane);
    if (wrong.name != std::string("draw") && wrong.name != std::string("use")) wrong.call(test, lane);
    expect(test.draw(lane).ok(), std::string(wrong.name) + "(), then draw()");
    test.draw(lane);
    test.read_window(lane);
    test.finish(lane);
    expect(test.decode(lane).ok(), "decode() after wrong calls");
    expect(test.finish(lane).ok() && test.out == test.expected, "finish() after wrong calls");
  }
}

// Other pixels may be adopted until they are of the plan's size.
void mismatched_until_it_fits(Test& test) {
  Lane lane(image::best_simd());
  test.open(lane);
  test.draw(lane);
  for (const int32_t by : {8, -8, 1}) {
    test.adopt(lane, by);
    expect(test.decode(lane).code == Code::unreadable && test.finish(lane).code == Code::unreadable,
           "not of the plan's size");
  }
  test.adopt(lane, 0);
  const auto is_adopted = [](uint8_t byte) { return byte == 9; };
  expect(test.finish(lane).ok() && std::all_of(test.out.begin(), test.out.end(), is_adopted), "of the plan's size");
}

// The sample as it is made in the right order; false where it cannot be deferred both ways.
bool begin(Test* test, const char* path) {
  test->path = path;
  Lane lane(image::best_simd());
  if (!test->open(lane).ok() || !test->draw(lane).ok()) return false;
  test->width = lane.width();
  test->height = lane.height();
  test->plan = lane.plan();
  if (!test->defer_window(lane).ok() || test->why != Keep::none || !test->read_window(lane).ok())
    return false;
  if (!test->open(lane).ok() || !test->draw(lane).ok()) return false;
  if (!test->defer_bytes(lane).ok() || test->why != Keep::none) return false;
  if (!test->open(lane).ok() || !test->draw(lane).ok() || !test->decode(lane).ok()) return false;
  if (!test->finish(lane).ok()) return false;
  test->expected = test->out;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    Test test;
    if (!begin(&test, argv[i])) continue;
    orders(test);
    goes_on(test);
    mismatched_until_it_fits(test);
    return failures == 0 ? 0 : 1;
  }
  std::fprintf(stderr, "usage: lane JPEG [JPEG ...], one of them plain, 4:4:4 or 4:2:0\n");
  return 2;
}
