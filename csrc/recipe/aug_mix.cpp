#include "recipe/aug_mix.h"

#include <utility>

namespace fastload::recipe {

namespace {

std::shared_ptr<const image::TensorOp> draw(const AugMix& aug_mix, random::Generator& generator) {
  const MixOperation& operation = aug_mix.operations[generator.below(static_cast<uint32_t>(aug_mix.operations.size()))];
  size_t at = 0;
  if (operation.magnitudes > 0) at = generator.below(static_cast<uint32_t>(operation.magnitudes));
  if (operation.is_signed) at = 2 * at + (generator.below(2) != 0 ? 1 : 0);
  return operation.effects[at];
}

}  // namespace

Status apply(const AugMix& aug_mix, const Recipe& recipe, random::Generator& generator, PlanBuilder& plan) {
  if (plan.width() != aug_mix.width || plan.height() != aug_mix.height) return {Code::transform, "an image of another size"};
  auto mix = std::make_shared<image::Mix>();
  mix->is_gray = aug_mix.is_gray;
  mix->grid = aug_mix.grid;
  std::vector<float> weights;
  if (random::Mt19937* const torchs = generator.as_torch()) {
    recipe.torch_mixing(torchs, aug_mix.alpha, aug_mix.chains, &weights);
  } else {
    random::Mt19937 own(generator.next());
    recipe.torch_mixing(&own, aug_mix.alpha, aug_mix.chains, &weights);
  }
  mix->weight = weights[0];
  for (int32_t i = 0; i < aug_mix.chains; ++i) {
    image::Mix::Chain chain;
    chain.weight = weights[static_cast<size_t>(i) + 1];
    const int32_t depth = aug_mix.depth > 0 ? aug_mix.depth : 1 + static_cast<int32_t>(generator.below(3));
    for (int32_t step = 0; step < depth; ++step) chain.operations.push_back(draw(aug_mix, generator));
    mix->chains.push_back(std::move(chain));
  }
  plan.mix(std::move(mix));
  return {};
}

}  // namespace fastload::recipe
