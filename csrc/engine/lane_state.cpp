#include "engine/lane_state.h"

namespace fastload::engine {

Status check(LaneState state, LaneCall call) {
  switch (call) {
    case LaneCall::plan:
      if (state == LaneState::opened) return {};
      return {Code::damaged, "a plan for a sample that is not open, or has one"};
    case LaneCall::defer:
      if (state == LaneState::drawn) return {};
      return {Code::damaged, "a sample is deferred after it is drawn and before it is decoded"};
    case LaneCall::read_window:
      if (state == LaneState::coded) return {};
      return {Code::damaged, "a window that was not deferred"};
    case LaneCall::decode:
      if (state == LaneState::drawn || state == LaneState::decoded) return {};
      if (state == LaneState::mismatched) break;
      return {Code::damaged, "a sample is decoded after it is drawn"};
    case LaneCall::finish:
      if (state == LaneState::decoded) return {};
      if (state == LaneState::mismatched) break;
      return {Code::damaged, "a sample is finished after it is decoded"};
  }
  return {Code::unreadable, "the file changed while it was read"};
}

}  // namespace fastload::engine
