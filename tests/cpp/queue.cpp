// Whose sample is next: the rule of engine/queue.h, one scenario for each part of it, and threads by chance that must all get on.
// Usage: queue. Exits 0 when all is as it should be.
#include "engine/queue.h"

#include <cstdio>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "given.h"

using namespace fastload;
using engine::Defer;

namespace {

int failures = 0;

void expect(const std::string& got, const std::string& wanted, const char* what) {
  if (got == wanted) return;
  std::fprintf(stderr, "%s: %s, not %s\n", what, got.c_str(), wanted.c_str());
  ++failures;
}

std::shared_ptr<engine::DrawOrder> draw_order() { return std::make_shared<engine::DrawOrder>(random::Mt19937(1)); }

// A queue whose batches have names: samples that start are "a0" and so on, with "!" for one that was reclaimed.
class Named {
 public:
  void push(char name, size_t samples, std::shared_ptr<engine::DrawOrder> order = nullptr,
            Defer defer = Defer::nothing) {
    engine::Request asked = given::request({}, samples, 8, nullptr);
    asked.order = std::move(order);
    asked.defer = defer;
    batches_[name] = std::make_shared<engine::Batch>(std::move(asked));
    batches_[name]->begin();
    queue.push_back(batches_[name]);
  }

  void reclaim(char name, std::vector<size_t> slots) {
    queue.push_front(batches_[name]);
    batches_[name]->begin_again(std::move(slots));
  }

  engine::Batch& operator[](char name) { return *batches_[name]; }

  // The next `count` samples, whose threads are on their way to their turns then; "-": there is none.
  std::string next(int count) {
    std::string names;
    for (int i = 0; i < count; ++i) {
      last = queue.next();
      if (i > 0) names += ' ';
      names += last.batch == nullptr ? "-" : name_of(*last.batch) + std::to_string(last.slot);
      if (last.is_reclaimed) names += '!';
    }
    return names;
  }

  engine::Queue queue;
  engine::Task last;

 private:
  std::string name_of(const engine::Batch& batch) const {
    for (const auto& [name, known] : batches_) {
      if (known.get() == &batch) return {name};
    }
    return "?";
  }

  std::map<char, std::shared_ptr<engine::Batch>> batches_;
};

void draw(engine::DrawOrder& order, uint64_t turn) {
  if (order.begin_turn(turn)) order.end_turn();
}

void in_the_order_of_the_queue() {
  Named named;
  expect(named.next(1), "-", "an empty queue");
  named.push('a', 2);
  named.push('b', 1);
  named.push('c', 1);
  expect(named.next(5), "a0 a1 b0 c0 -", "batches that draw by index");
}

void turns_follow_the_queue() {
  Named named;
  const auto order = draw_order();
  named.push('a', 2, order);
  named.push('b', 1, draw_order());
  named.push('c', 2, order);
  expect(std::to_string(named['a'].tasks.first_turn) + std::to_string(named['b'].tasks.first_turn) +
             std::to_string(named['c'].tasks.first_turn),
         "002", "first turns");
  for (const char* sample :
       {"a0", "a1", "b0", "c0", "c1"}) {  // b's thread never gets to its turn, and the others draw at once
    expect(named.next(1), sample, "one thread a turn");
    if (named.last.batch.get() != &named['b']) draw(*order, named.last.turn);
  }
}

void nobody_waits_who_could_work() {
  Named named;
  const auto one = draw_order(), other = draw_order();
  named.push('a', 3, one);
  named.push('b', 2, one);  // not before a, though nobody were on the way
  named.push('c', 2, other);
  named.push('d', 1);
  expect(named.next(3), "a0 c0 d0", "of each order one, then who draws by index");
  expect(named.next(2), "a1 a2", "where all would wait, the first of the queue");
  for (const uint64_t turn : {0, 1, 2}) draw(*one, turn);
  expect(named.next(2), "b0 b1", "nobody is on the way any more");
  expect(named.next(2), "c1 -", "the last");
}

void who_defers_bytes_is_first() {
  Named named;
  named.push('a', 2);
  named.push('b', 2, nullptr, Defer::bytes);
  named.push('c', 1, nullptr, Defer::windows);
  named.push('d', 1, nullptr, Defer::bytes);
  expect(named.next(7), "b0 b1 d0 a0 a1 c0 -", "the other decoder does not run out");
}

void who_defers_bytes_waits_for_no_turn() {
  Named named;
  const auto one = draw_order(), other = draw_order();
  named.push('a', 1);
  named.push('b', 2, one, Defer::bytes);
  named.push('c', 2, other, Defer::bytes);
  named.push('d', 1, one, Defer::bytes);
  expect(named.next(3), "b0 c0 a0", "of each order one, then who is left");
  draw(*other, 0);
  expect(named.next(1), "c1", "who has no one on the way");
  expect(named.next(1), "b1", "where all would wait, the first");
}

void reclaimed_samples_are_before_all() {
  Named named;
  const auto order = draw_order();
  named.push('a', 3, order, Defer::bytes);
  expect(named.next(3), "a0 a1 a2", "at first");
  named.push('b', 2, order, Defer::bytes);
  named.reclaim('a', {2, 0});
  expect(named.next(3), "a2! a0! b0", "they draw nothing, and so wait for nobody");
}

void what_is_removed_is_forgotten() {
  Named named;
  named.push('a', 1);
  named.push('b', 2, nullptr, Defer::bytes);
  named.push('c', 1);
  expect(named.next(1), "b0", "before");
  expect(named.queue.remove(named['b']).get() == &named['b'] ? "b" : "-", "b", "it is handed over");
  expect(named.queue.remove(named['b']) == nullptr ? "-" : "b", "-", "once");
  expect(named.queue.front().get() == &named['a'] ? "a" : "-", "a", "the front");
  expect(named.next(3), "a0 c0 -", "nobody defers bytes any more");
  expect(named.queue.front() == nullptr ? "-" : "a", "-", "it is empty");
}

// Threads that take samples and draw when it is their turn, one step of one of them at a time, in any order.
void all_get_on(uint32_t seed) {
  std::mt19937 dice(seed);
  std::vector<std::shared_ptr<engine::DrawOrder>> orders = {nullptr, draw_order(), draw_order(), draw_order()};
  std::vector<uint64_t> turns(orders.size(), 0);  // that were drawn
  std::vector<engine::Task> threads(1 + dice() % 5);
  engine::Queue queue;
  size_t left = 0;
  const auto order_of = [&](const engine::Task& task) {
    for (size_t i = 1; i < orders.size(); ++i) {
      if (orders[i] == task.batch->asked.order) return i;
    }
    return size_t{0};
  };
  const auto may_go_on = [&](const engine::Task& task) {
    return order_of(task) == 0 || task.turn == turns[order_of(task)];
  };
  for (int batch = 0; batch < 30; ++batch) {
    engine::Request asked = given::request({}, 1 + dice() % 6, 8, nullptr);
    left += asked.samples.size();
    asked.order = orders[dice() % orders.size()];
    asked.defer = static_cast<Defer>(dice() % 3);
    queue.push_back(std::make_shared<engine::Batch>(std::move(asked)));
    for (size_t steps = batch < 29 ? dice() % 20 : 100000; steps > 0 && left > 0; --steps) {
      engine::Task& task = threads[dice() % threads.size()];
      if (task.batch == nullptr) {
        task = queue.next();
      } else if (may_go_on(task)) {
        if (const size_t order = order_of(task)) {
          draw(*orders[order], task.turn);
          ++turns[order];
        }
        task = {};
        --left;
      }
    }
  }
  expect(std::to_string(left), "0", "samples that wait for ever");
}

}  // namespace

int main() {
  in_the_order_of_the_queue();
  turns_follow_the_queue();
  nobody_waits_who_could_work();
  who_defers_bytes_is_first();
  who_defers_bytes_waits_for_no_turn();
  reclaimed_samples_are_before_all();
  what_is_removed_is_forgotten();
  for (uint32_t seed = 0; seed < 200; ++seed) all_get_on(seed);
  return failures == 0 ? 0 : 1;
}
