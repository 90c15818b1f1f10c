#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "image/recolour_rows.h"

namespace fastload::image {

namespace {

HueTable make_hues() {
  HueTable table;
  for (int h = 0; h < 256; ++h) {
    const double turn = static_cast<double>(static_cast<float>(h)) * 6.0 / 255.0;
    const double sixth = std::floor(turn);
    table.sixth[h] = static_cast<int32_t>(sixth) % 6;
    table.within[h] = static_cast<float>(turn - static_cast<double>(static_cast<float>(sixth)));
  }
  return table;
}

void to_gray(uint8_t* rgbx, int32_t count) {
  for (int32_t i = 0; i < count; ++i, rgbx += 4) rgbx[0] = rgbx[1] = rgbx[2] = gray_of(rgbx);
}

void blend(uint8_t* rgbx, int32_t count, uint8_t from, float factor) {
  for (int32_t i = 0; i < count; ++i, rgbx += 4) {
    for (int c = 0; c < 3; ++c) rgbx[c] = blended(from, rgbx[c], factor);
  }
}

void saturate(uint8_t* rgbx, int32_t count, float factor) {
  for (int32_t i = 0; i < count; ++i, rgbx += 4) {
    const uint8_t gray = gray_of(rgbx);
    for (int c = 0; c < 3; ++c) rgbx[c] = blended(gray, rgbx[c], factor);
  }
}

// Pillow's H of a pixel that is not gray: a sixth of the circle for each order of the channels.
int32_t hue_of(const uint8_t* rgb, int most, int range) {
  const auto from_most = [&](int c) { return static_cast<double>(static_cast<float>(most - rgb[c]) / static_cast<float>(range)); };
  float turn = 0;
  if (rgb[0] == most) {
    turn = static_cast<float>(from_most(2) - from_most(1));
  } else if (rgb[1] == most) {
    turn = static_cast<float>(2.0 + from_most(0) - from_most(2));
  } else {
    turn = static_cast<float>(4.0 + from_most(1) - from_most(0));
  }
  double part = static_cast<double>(turn) / 6.0 + 1.0;
  if (part >= 1.0) part -= 1.0;
  return static_cast<int32_t>(static_cast<double>(static_cast<float>(part)) * 255.0);
}

void shift_hue(uint8_t* rgbx, int32_t count, int32_t shift) {
  for (int32_t i = 0; i < count; ++i, rgbx += 4) {
    const int most = std::max({rgbx[0], rgbx[1], rgbx[2]});
    const int range = most - std::min({rgbx[0], rgbx[1], rgbx[2]});
    if (range == 0) continue;
    const auto saturation = static_cast<int32_t>(static_cast<float>(range) / static_cast<float>(most) * 255.0f);
    const int32_t hue = (hue_of(rgbx, most, range) + shift) & 255;
    // All of these are positive, and none lies near the middle between two integers: what is added rounds as C's round().
    const float pale = static_cast<float>(saturation) / 255.0f;
    const float within = kHues.within[hue];
    const auto value = static_cast<float>(most);
    const auto v = static_cast<uint8_t>(most);
    const auto p = static_cast<uint8_t>(value * (1.0f - pale) + 0.5f);
    const auto q = static_cast<uint8_t>(value * (1.0f - pale * within) + 0.5f);
    const auto t = static_cast<uint8_t>(value * (1.0f - pale * (1.0f - within)) + 0.5f);
    const uint8_t colours[6][3] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};
    std::memcpy(rgbx, colours[kHues.sixth[hue]], 3);
  }
}

uint64_t sum_of_gray(const uint8_t* rgbx, int32_t count) {
  uint64_t sum = 0;
  for (int32_t i = 0; i < count; ++i, rgbx += 4) sum += gray_of(rgbx);
  return sum;
}

// The mean of nine is never half an integer (13 is odd), so that Pillow's floats and these integers round to the same.
void sharpen(const uint8_t* above, const uint8_t* row, const uint8_t* below, uint8_t* out, int32_t count, float factor) {
  for (ptrdiff_t i = 0; i < 4 * static_cast<ptrdiff_t>(count); ++i) {
    const int sum = above[i - 4] + above[i] + above[i + 4] + row[i - 4] + 5 * row[i] + row[i + 4] + below[i - 4] + below[i] + below[i + 4];
    out[i] = blended((sum + 6) / 13, row[i], factor);
  }
}

}  // namespace

const HueTable kHues = make_hues();
const RecolourRows kRecolourScalar = {to_gray, blend, saturate, shift_hue, sum_of_gray, sharpen};

}  // namespace fastload::image
