// engine/lane_state.h: how far a lane is with its sample, and so which call may come next. The one place that judges the order.
//
//          open, adopt          draw, use         decode           finish
//   empty ────────────▶ opened ──────────▶ drawn ────────▶ decoded ──────▶ empty
//
// A drawn sample that is deferred has only its plan left: at once as bytes, and as a window when what that is made of was read. So has one that
// could not be decoded, and adopt() then leads to decoded. A plan is for an image of one size: where the pixels are of another, the
// sample is mismatched until others are adopted. open(), adopt() and settle() may always come; open() and settle() start anew.
#pragma once

#include <cstdint>

#include "types.h"

namespace fastload::engine {

enum class LaneState : uint8_t {
  empty,       // no sample, or one that failed
  opened,      // an image, as bytes or as pixels
  drawn,       // … with a plan for its size
  coded,       // drawn, and what its window is made of has a place
  planned,     // a plan alone
  decoded,     // a plan and the pixels that it wants
  mismatched,  // a plan and an image of another size
};

enum class LaneCall : uint8_t { plan, defer, read_window, decode, finish };

// Code::damaged where the call may not come: a fault of the engine. Code::unreadable where the image is not the plan's.
Status check(LaneState state, LaneCall call);

inline bool has_plan(LaneState state) { return state >= LaneState::drawn; }

}  // namespace fastload::engine
