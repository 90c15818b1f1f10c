// recipe/plan.h: collects the steps of one image in order, then works out which pixels each step really needs.
#pragma once

#include "recipe/recipe.h"

namespace fastload::recipe {

// Of Pillow of that version.
VerticalFirst vertical_first_of(int major, int minor);

class PlanBuilder {
 public:
  PlanBuilder(int32_t width, int32_t height, Plan* plan);

  // Size of the image as the steps so far leave it.
  int32_t width() const { return plan_->width; }
  int32_t height() const { return plan_->height; }
  // The stage of all further steps.
  void count_to(uint8_t stage) { stage_ = stage < kMostStages ? stage : 0; }

  void crop(Box box);
  void resize(int32_t width, int32_t height, image::Filter filter, VerticalFirst order, const image::Part& part = {});
  void flip(StepKind kind);
  void transpose();
  void grayscale();
  void recolour(const image::Recolour& recolour);
  void blur(const image::GaussianBlur& blur);
  void blur(const image::BoxBlur& blur);
  // A side below 0 is cut off.
  void pad(int64_t left, int64_t top, int64_t right, int64_t bottom, image::PadMode mode, const uint8_t fill[3]);
  // Pillow's Image.transform into an image of that size; recipe/warps.h makes maps. Of `warp` all but the sizes and the region counts.
  void warp(const image::Warp& warp, double width, double height);
  // Of an image without pixels Pillow's resize makes a black one.
  void blacken(int32_t width, int32_t height);
  // All of one colour.
  void paint(int64_t width, int64_t height, const uint8_t fill[3]);
  void mix(std::shared_ptr<const image::Mix> mix);
  // Of the finished tensor: only flips and crops may follow, and further ones.
  void erase(Erasure erasure);

  // Takes flips after which only colours change out of the steps, then walks back from the result to the decode window.
  Status finish();

 private:
  void take_out_flips();
  Step* append(StepKind kind, int64_t out_width, int64_t out_height);

  Plan* plan_;
  int32_t image_width_;
  int32_t image_height_;
  uint8_t stage_ = 0;
  bool overflow_ = false;
  bool refused_ = false;
};

}  // namespace fastload::recipe
