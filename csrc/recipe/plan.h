// recipe/plan.h: collects the steps of one image in order, then works out which pixels each step really needs.
#pragma once

#include "recipe/recipe.h"

namespace fastload::recipe {

class PlanBuilder {
 public:
  PlanBuilder(int32_t width, int32_t height, Plan* plan);

  // Size of the image as the steps so far leave it.
  int32_t width() const { return plan_->width; }
  int32_t height() const { return plan_->height; }

  void crop(Box box);
  void resize(int32_t width, int32_t height, image::Filter filter, VerticalFirst order);
  void flip(StepKind kind);
  void grayscale();
  void pad(int64_t left, int64_t top, int64_t right, int64_t bottom, image::PadMode mode, const uint8_t fill[3]);
  // Of an image without pixels Pillow's resize makes a black one.
  void blacken(int32_t width, int32_t height);

  // Takes trailing flips out of the steps, then walks back from the result to the decode window.
  Status finish();

 private:
  Step* append(StepKind kind, int64_t out_width, int64_t out_height);

  Plan* plan_;
  int32_t image_width_;
  int32_t image_height_;
  bool overflow_ = false;
  bool refused_ = false;
};

}  // namespace fastload::recipe
