// The phases of a batch, as the engine leads it through them: engine/batch.h.
// Usage: batch. Exits 0 when all is as it should be.
#include "engine/batch.h"

#include <cstdio>
#include <memory>
#include <utility>

#include "given.h"

using namespace fastload;
using engine::Defer;
using engine::Phase;

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  ++failures;
}

std::unique_ptr<engine::Batch> batch_of(size_t samples, Defer defer) {
  engine::Request asked = given::request({}, samples, 8, nullptr);
  asked.defer = defer;
  return std::make_unique<engine::Batch>(std::move(asked));
}

// Starts one and ends it.
void make_one(engine::Batch& batch, const Status& status = {}) {
  const size_t slot = batch.tasks.start_next();
  batch.end_plan();
  engine::StageTimes times;
  times.ns[0] = 5;
  batch.end_sample(slot, status, times);
}

bool is(const engine::Batch& batch, Phase phase) {
  return batch.phase() == phase && batch.wait(phase, 0) && (phase == Phase::done || !batch.wait(Phase::done, 0));
}

void without_another_decoder() {
  const auto batch = batch_of(2, Defer::nothing);
  expect(is(*batch, Phase::made), "it is made before it is submitted");
  batch->begin();
  expect(is(*batch, Phase::planned), "where nothing can be deferred, it is planned at once");
  make_one(*batch);
  expect(is(*batch, Phase::planned) && batch->remaining() == 1, "it is not done with its first sample");
  make_one(*batch, {Code::damaged, "why"});
  expect(is(*batch, Phase::done) && batch->remaining() == 0, "it is done with its last");
  expect(batch->results.outcomes[0].code == Code::ok, "the first sample's outcome");
  expect(batch->results.outcomes[1].code == Code::damaged && batch->results.outcomes[1].message == "why", "the last's");
  expect(batch->results.times.ns[0] == 10, "the times of both");
}

void with_another_decoder() {
  const auto batch = batch_of(2, Defer::bytes);
  batch->begin();
  expect(is(*batch, Phase::submitted), "what is deferred is not known");
  const size_t slow = batch->tasks.start_next();
  make_one(*batch);
  expect(is(*batch, Phase::submitted), "nor when one of two is made");
  batch->end_plan();
  expect(is(*batch, Phase::planned), "but when the other is planned");
  batch->end_sample(slow, {}, {});
  expect(is(*batch, Phase::done), "then both are made");
}

void reclaimed() {
  const auto batch = batch_of(3, Defer::bytes);
  batch->begin();
  for (int i = 0; i < 3; ++i) make_one(*batch);
  batch->begin_again({2, 0});
  expect(is(*batch, Phase::planned) && batch->remaining() == 2, "reclaimed samples are not done, and have a plan");
  for (const size_t slot : {2, 0}) {
    expect(batch->tasks.start_next() == slot, "the slots that were reclaimed, in their order");
    batch->end_sample(slot, {}, {});
  }
  expect(is(*batch, Phase::done) && batch->tasks.unstarted() == 0, "they are made");
  batch->begin_again({1});
  expect(is(*batch, Phase::planned) && batch->tasks.start_next() == 1, "others may be reclaimed after them");
}

void cancelled() {
  const auto batch = batch_of(4, Defer::windows);
  batch->begin();
  const size_t running = batch->tasks.start_next();
  batch->cancel_unstarted();
  expect(is(*batch, Phase::submitted) && batch->remaining() == 1, "a sample that runs goes on");
  batch->end_plan();
  batch->end_sample(running, {}, {});
  expect(is(*batch, Phase::done), "it is done with what ran, though nothing else was planned");
  for (const size_t slot : {1, 2, 3})
    expect(batch->results.outcomes[slot].code == Code::cancelled, "the others are cancelled");
  expect(batch->results.outcomes[running].code == Code::ok, "and what ran is not");
}

void empty() {
  const auto batch = batch_of(0, Defer::bytes);
  batch->begin();
  expect(is(*batch, Phase::done), "no samples are done at once");
}

}  // namespace

int main() {
  without_another_decoder();
  with_another_decoder();
  reclaimed();
  cancelled();
  empty();
  return failures == 0 ? 0 : 1;
}
