#include "recipe/draw_erasing.h"

#include <cmath>
#include <memory>

#include "recipe/draws.h"

namespace fastload::recipe {

namespace {

// Note [noise]
// torch.empty(count).normal_() of float32: from 16 elements on a word an element, and where the last block of 16 is not full, 16 more
// for it; how the words become deviates depends on the build. Fewer are drawn in pairs, in double, and the generator keeps the one
// that is left over. So the generator is kept as it is before, for torch itself to make the noise of, and moved on here.
constexpr int64_t kBlock = 16;

std::shared_ptr<const random::Mt19937> noise_of(const Recipe& recipe, random::Generator& generator, int64_t count) {
  random::Mt19937* const torchs = generator.as_torch();
  if (torchs == nullptr) {
    const uint64_t low = generator.next();
    return std::make_shared<random::Mt19937>(low);
  }
  auto before = std::make_shared<random::Mt19937>(*torchs);
  if (0 < count && count < kBlock) {
    recipe.torch_normal(torchs, count);
  } else {
    const int64_t words = count + (count % kBlock == 0 ? 0 : kBlock);
    for (int64_t i = 0; i < words; ++i) torchs->next();
  }
  return before;
}

}  // namespace

void random_erasing(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  constexpr int kAttempts = 10;
  if (!(generator.uniform() < t.p)) return;
  const double area = static_cast<double>(int64_t{plan.height()} * plan.width());
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const float scale =
        uniform_between(recipe, generator, static_cast<float>(t.scale[0]), static_cast<float>(t.scale[1]));
    const float log_aspect = uniform_between(recipe, generator, t.log_ratio[0], t.log_ratio[1]);
    const Sides sides = sides_of(recipe, area * static_cast<double>(scale), log_aspect);
    const int32_t height = round_half_even(sides.product);
    const int32_t width = round_half_even(sides.quotient);
    if (!(height < plan.height() && width < plan.width())) continue;
    Erasure erasure;
    erasure.values = t.count;
    if (t.is_noise) erasure.noise = noise_of(recipe, generator, int64_t{t.is_gray ? 1 : 3} * height * width);
    const auto y = static_cast<int32_t>(generator.below(static_cast<uint32_t>(plan.height() - height + 1)));
    const auto x = static_cast<int32_t>(generator.below(static_cast<uint32_t>(plan.width() - width + 1)));
    erasure.box = {x, y, width, height};
    plan.erase(std::move(erasure));
    return;
  }
}

void timm_erasing(const Transform& t, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  constexpr int kAttempts = 10;
  random::Python python = generator.python();
  if (python.random() > t.p) return;
  const double area = static_cast<double>(int64_t{plan.height()} * plan.width());
  int32_t count = t.least_rectangles;
  if (count != t.most_rectangles) count += static_cast<int32_t>(python.below(static_cast<uint32_t>(t.most_rectangles - count) + 1));
  for (int32_t rectangle = 0; rectangle < count; ++rectangle) {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const double target_area = python.uniform(t.scale[0], t.scale[1]) * area / count;
      const double aspect = std::exp(python.uniform(t.log_ratio_in_double[0], t.log_ratio_in_double[1]));
      const int32_t height = round_half_even(std::sqrt(target_area * aspect));
      const int32_t width = round_half_even(std::sqrt(target_area / aspect));
      if (!(width < plan.width() && height < plan.height())) continue;
      const auto y = static_cast<int32_t>(python.below(static_cast<uint32_t>(plan.height() - height) + 1));
      const auto x = static_cast<int32_t>(python.below(static_cast<uint32_t>(plan.width() - width) + 1));
      Erasure erasure;
      erasure.values = t.count;
      erasure.box = {x, y, width, height};
      erasure.is_plain = t.is_plain;
      const int64_t pixels = t.is_plain ? 1 : int64_t{height} * width;
      if (t.is_noise) erasure.noise = noise_of(recipe, generator, (t.is_gray ? 1 : 3) * pixels);
      plan.erase(std::move(erasure));
      break;
    }
  }
}

}  // namespace fastload::recipe
