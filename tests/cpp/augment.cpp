// Random recipes of policies, erasing and AugMix on random images: every variant makes what scalar code makes, and nothing beside the
// sample's own memory is written. For the sanitizers; that samples are torchvision's is tested in Python.
#include <cstdio>
#include <cstring>
#include <vector>

#include "dice.h"
#include "engine/lane.h"
#include "recipe/aug_mix.h"
#include "recipe/policy.h"

namespace {

using namespace fastload;
using given::Dice;
using recipe::Effect;

constexpr int kRounds = 1200;

Effect random_effect(Dice& dice) {
  Effect effect;
  effect.kind = static_cast<Effect::Kind>(dice.between(0, 5));
  effect.recolour.change = static_cast<image::Change>(dice.between(0, 10));
  effect.recolour.factor = static_cast<float>(dice.number(3));
  effect.recolour.level = dice.between(0, 255);
  const bool shears = effect.kind == Effect::Kind::shear;
  effect.x = shears ? dice.number(80) : dice.between(-200, 200);
  effect.y = shears ? dice.number(80) : dice.between(-200, 200);
  effect.is_vertical = dice.once_in(2);
  effect.is_negative = dice.once_in(2);
  effect.times = dice.between(1, 150);
  effect.divisor = dice.between(1, 331);
  effect.bins = dice.between(2, 40);
  effect.bin = dice.between(0, effect.bins - 1);
  return effect;
}

recipe::Transform random_policy(Dice& dice) {
  auto policy = std::make_shared<recipe::Policy>();
  policy->v2 = dice.once_in(2);
  policy->is_auto = dice.once_in(2);
  policy->count = dice.between(0, 3);
  policy->filter = static_cast<image::Filter>(dice.once_in(2) ? 0 : dice.once_in(2) ? 2 : 4);
  for (uint8_t& fill : policy->fill) fill = static_cast<uint8_t>(dice.between(0, 255));
  for (int i = dice.between(1, 4); i > 0; --i) {
    std::vector<recipe::Operation> choice(static_cast<size_t>(dice.between(1, 2)));
    for (recipe::Operation& operation : choice) {
      operation.p = static_cast<float>(dice.number(1.2));
      operation.is_signed = dice.once_in(2);
      operation.magnitudes = dice.between(0, 3);
      const int effects = (operation.magnitudes > 0 ? operation.magnitudes : 1) * (operation.is_signed ? 2 : 1);
      for (int e = 0; e < effects; ++e) operation.effects.push_back(random_effect(dice));
    }
    policy->choices.push_back(choice);
  }
  recipe::Transform made;
  made.kind = recipe::Kind::policy;
  made.policy = policy;
  return made;
}

recipe::Transform random_mix(Dice& dice, int32_t width, int32_t height, bool is_gray) {
  auto mix = std::make_shared<recipe::AugMix>();
  mix->width = width;
  mix->height = height;
  mix->is_gray = is_gray;
  mix->grid = {dice.once_in(2), dice.once_in(2)};
  mix->chains = dice.between(1, 4);
  mix->depth = dice.between(-1, 3);
  for (int i = 0; i < 4; ++i) {
    recipe::MixOperation operation;
    auto effect = std::make_shared<image::TensorOp>();
    effect->change = static_cast<image::TensorChange>(dice.between(0, 6));
    for (uint8_t& value : effect->table) value = static_cast<uint8_t>(dice.between(0, 255));
    effect->ratio = static_cast<float>(dice.number(2));
    effect->rest = 1 - effect->ratio;
    for (float& by : effect->by) by = static_cast<float>(dice.number(dice.once_in(5) ? 1e6 : 2));
    operation.effects = {effect};
    mix->operations.push_back(operation);
  }
  recipe::Transform made;
  made.kind = recipe::Kind::aug_mix;
  made.aug_mix = mix;
  return made;
}

recipe::Transform random_erasing(Dice& dice, bool is_gray, int32_t which) {
  recipe::Transform made;
  made.kind = recipe::Kind::random_erasing;
  made.p = 0.9;
  made.scale[0] = dice.once_in(3) ? 0 : 0.02;
  made.scale[1] = dice.once_in(3) ? 2 : 0.4;
  made.log_ratio[0] = dice.once_in(4) ? -6 : -1;
  made.log_ratio[1] = dice.once_in(4) ? 6 : 1;
  made.is_gray = is_gray;
  made.is_noise = dice.once_in(2);
  made.count = which;
  return made;
}

recipe::Transform random_flip(Dice& dice) {
  recipe::Transform made;
  made.kind = dice.once_in(2) ? recipe::Kind::random_horizontal_flip : recipe::Kind::random_vertical_flip;
  made.p = 0.5;
  return made;
}

recipe::Transform gray() {
  recipe::Transform made;
  made.kind = recipe::Kind::grayscale;
  return made;
}

std::vector<uint8_t> made_with(image::Simd simd, const recipe::Recipe& recipe, const image::Compact& image,
                               const engine::Target& target, uint64_t seed) {
  engine::Lane lane(simd);
  random::Mt19937 generator(seed);
  if (!lane.open(image).ok() || !lane.draw(recipe, generator).ok() || !lane.decode().ok()) return {};
  const auto pixels = static_cast<size_t>(lane.plan().width) * static_cast<size_t>(lane.plan().height);
  std::vector<uint8_t> out(pixels * static_cast<size_t>(target.values.channels));
  if (!lane.finish(target, out.data()).ok()) out.clear();
  return out;
}

}  // namespace

int main() {
  Dice dice;
  int made = 0;
  for (int round = 0; round < kRounds; ++round) {
    const int32_t width = dice.between(1, dice.once_in(3) ? 6 : 90);
    const int32_t height = dice.between(1, dice.once_in(3) ? 6 : 90);
    const bool is_gray = dice.once_in(4);
    std::vector<uint8_t> bytes(3 * static_cast<size_t>(width) * static_cast<size_t>(height) + 1);
    const int most = dice.once_in(4) ? 1 : 255;
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(dice.between(0, most));

    recipe::Recipe recipe;
    recipe.torch_exp = [](float x) { return x < 0 ? 1 / (1 - x) : 1 + x; };
    recipe.torch_normal = [](random::Mt19937* generator, int64_t count) {
      for (int64_t i = 0; i < count; ++i) generator->next();
    };
    recipe.torch_linspace = [](double end, int32_t steps, int32_t i) { return static_cast<float>(end * i / (steps - 1)); };
    recipe.torch_mixing = [](random::Mt19937* generator, double, int32_t chains, std::vector<float>* weights) {
      weights->resize(static_cast<size_t>(chains) + 1);
      for (float& weight : *weights) weight = generator->uniform();
    };
    if (is_gray) recipe.transforms.push_back(gray());
    for (int i = dice.between(0, 2); i > 0; --i) recipe.transforms.push_back(random_policy(dice));
    if (dice.once_in(2)) recipe.transforms.push_back(random_mix(dice, width, height, is_gray));
    if (dice.once_in(2)) recipe.transforms.push_back(random_flip(dice));
    const int32_t erasings = dice.between(0, 2);
    for (int32_t i = 0; i < erasings; ++i) {
      recipe.transforms.push_back(random_erasing(dice, is_gray, i));
      if (dice.once_in(2)) recipe.transforms.push_back(random_flip(dice));
    }

    engine::Target target;
    const int32_t channels = is_gray ? 1 : 3;
    for (int i = 0; i < 256 * channels; ++i) target.table.push_back(static_cast<uint8_t>(i));
    target.layout = dice.once_in(2) ? image::Layout::chw : image::Layout::hwc;
    target.element_bytes = 1;
    target.values.element = image::Element::uint8;
    target.values.channels = channels;
    target.values.table = target.table.data();
    target.erased.resize(static_cast<size_t>(erasings * channels), 7);
    target.noise = [](const random::Mt19937& generator, size_t count, uint8_t* out) {
      random::Mt19937 own = generator;
      for (size_t i = 0; i < count; ++i) out[i] = static_cast<uint8_t>(own.next());
    };

    const image::Compact image = {bytes.data(), width, height, 3};
    const auto seed = static_cast<uint64_t>(round);
    const std::vector<uint8_t> expected = made_with(image::Simd::scalar, recipe, image, target, seed);
    if (made_with(image::best_simd(), recipe, image, target, seed) != expected) {
      std::printf("round %d: the variants differ\n", round);
      return 1;
    }
    made += expected.empty() ? 0 : 1;
  }
  std::printf("%d of %d recipes made\n", made, kRounds);
  return made > kRounds / 2 ? 0 : 1;
}
