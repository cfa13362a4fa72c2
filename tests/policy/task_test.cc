#include "policy/task.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace iron {
namespace {

using Trail = std::vector<std::string>;

/// Tells of its end.
struct Local {
  Local(Trail& trail_in, std::string name_in) : trail(&trail_in), name(std::move(name_in)) {}
  Local(Local&& other) noexcept : trail(std::exchange(other.trail, nullptr)), name(other.name) {}
  ~Local() {
    if (trail != nullptr) trail->push_back("~" + name);
  }
  Trail* trail;
  std::string name;
};

/// Runs a task by hand, step by step; its end is the task's.
class Driver {
 public:
  explicit Driver(Task<void> task) : task_(std::move(task)) {}
  /// Up to the next suspension, or the end.
  void step() {
    if (!std::exchange(begun_, true)) {
      task_.await_suspend(std::noop_coroutine()).resume();
    } else {
      std::exchange(sleeper_, {}).resume();
    }
  }
  /// To be awaited where a session would sleep.
  auto sleep() {
    struct Sleep {
      Driver& driver;
      bool await_ready() { return false; }
      void await_suspend(std::coroutine_handle<> handle) { driver.sleeper_ = handle; }
      void await_resume() {}
    };
    return Sleep{*this};
  }
  bool sleeps() const { return static_cast<bool>(sleeper_); }
  /// What the end of it tells whoever awaits it.
  void result() { task_.await_resume(); }

 private:
  Task<void> task_;
  std::coroutine_handle<> sleeper_;
  bool begun_ = false;
};

class TaskTest : public testing::Test {
 protected:
  void note(std::string what) { trail_.push_back(std::move(what)); }
  auto on_error() {
    return [this](std::exception_ptr failure) {
      try {
        std::rethrow_exception(failure);
      } catch (const std::exception& error) {
        note(std::string("error: ") + error.what());
      }
    };
  }
  auto sleep() { return driver_->sleep(); }

  Trail trail_;
  std::unique_ptr<Driver> driver_;
};

class TaskOfValues : public TaskTest {
 protected:
  Task<std::unique_ptr<int>> value(int number) {
    note("value " + std::to_string(number));
    co_return std::make_unique<int>(number);
  }
  Task<void> sum() {
    auto one = value(1), two = value(2);
    note("made");
    const std::unique_ptr<int> second = co_await two;
    const std::unique_ptr<int> first = co_await one;
    note("sum " + std::to_string(*first + *second));
  }
};

TEST_F(TaskOfValues, RunsWhenItIsAwaitedAndGivesItsValueAway) {
  start(sum(), on_error());
  EXPECT_EQ(trail_, (Trail{"made", "value 2", "value 1", "sum 3"}));
}

class TaskThatThrows : public TaskTest {
 protected:
  Task<int> leaf(std::string what) {
    const Local local(trail_, "leaf");
    if (!what.empty()) throw std::runtime_error(what);
    co_return 1;
  }
  Task<int> branch(std::string what) {
    const Local local(trail_, "branch");
    const int number = co_await leaf(what);
    note("behind the leaf");
    co_return number;
  }
  Task<void> root(std::string what, bool catches) {
    const Local local(trail_, "root");
    if (!catches) {
      co_await branch(what);
      co_return;
    }
    try {
      co_await branch(what);
    } catch (const std::runtime_error& error) {
      note(std::string("caught ") + error.what());
    }
    // The frame is as good as before.
    co_await branch("");
  }
  Task<void> late() {
    co_await sleep();
    co_await root("late", false);
  }
};

TEST_F(TaskThatThrows, WhatIsThrownGoesUpToWhoCatchesIt) {
  start(root("no", false), on_error());
  EXPECT_EQ(trail_, (Trail{"~leaf", "~branch", "~root", "error: no"}));
  trail_.clear();
  start(root("no", true), on_error());
  EXPECT_EQ(trail_, (Trail{"~leaf", "~branch", "caught no", "~leaf", "behind the leaf", "~branch",
                           "~root"}));
}

TEST_F(TaskThatThrows, WhatIsThrownBehindASleepGoesTheSameWay) {
  driver_ = std::make_unique<Driver>(late());
  driver_->step();
  EXPECT_EQ(trail_, Trail());
  driver_->step();
  EXPECT_EQ(trail_, (Trail{"~leaf", "~branch", "~root"}));
  EXPECT_THROW(driver_->result(), std::runtime_error);
}

class TaskThatIsDestroyed : public TaskTest {
 protected:
  Task<int> inner(Local argument) {
    co_await sleep();
    const Local local(trail_, "inner");
    co_await sleep();
    co_return static_cast<int>(argument.name.size());
  }
  Task<void> outer(Local argument) {
    const Local local(trail_, "outer");
    co_await sleep();
    Local given(trail_, "given");
    const int number = co_await inner(std::move(given));
    note("inner gave " + std::to_string(number));
    co_await sleep();
    note("over");
  }
};

TEST_F(TaskThatIsDestroyed, LeavesNothingBehindAtAnySuspension) {
  const Trail ends[] = {
      {"~argument"},                                                // never awaited
      {"~outer", "~argument"},                                      // at its first sleep
      {"~given", "~outer", "~argument"},                            // at the inner one's first
      {"~inner", "~given", "~outer", "~argument"},                  // and at its second
      {"~inner", "~given", "inner gave 5", "~outer", "~argument"},  // behind it
      {"~inner", "~given", "inner gave 5", "over", "~outer", "~argument"},
  };
  for (std::size_t steps = 0; steps < std::size(ends); ++steps) {
    trail_.clear();
    Local argument(trail_, "argument");
    driver_ = std::make_unique<Driver>(outer(std::move(argument)));
    for (std::size_t step = 0; step < steps; ++step) driver_->step();
    EXPECT_EQ(driver_->sleeps(), steps > 0 && steps + 1 < std::size(ends)) << steps;
    driver_.reset();
    EXPECT_EQ(trail_, ends[steps]) << steps;
  }
}

TEST_F(TaskThatIsDestroyed, WhatWasMovedFromDestroysNothing) {
  {
    Task<void> first = outer(Local(trail_, "argument"));
    const Task<void> second(std::move(first));
    EXPECT_EQ(trail_, Trail());
  }
  EXPECT_EQ(trail_, Trail{"~argument"});
}

class TaskThatIsDetached : public TaskTest {
 protected:
  struct Sleep {
    std::coroutine_handle<>& sleeper;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) const { sleeper = handle; }
    void await_resume() const {}
  };
  Task<void> nap() {
    const Local local(trail_, "nap");
    const Sleep sleep{sleeper_};
    co_await sleep;
    note("woke");
  }
  std::coroutine_handle<> sleeper_;
};

TEST_F(TaskThatIsDetached, OwnsItselfUntilItsEnd) {
  start(nap(), on_error());
  note("started");
  sleeper_.resume();
  EXPECT_EQ(trail_, (Trail{"started", "woke", "~nap"}));
}

Task<int> one() { co_return 1; }

Task<void> count(int times, int& sum) {
  for (int i = 0; i < times; ++i) {
    const int more = co_await one();
    sum += more;
  }
}

TEST(Task, ALongSessionTakesNoMoreOfTheStack) {
  int sum = 0;
  start(count(200'000, sum), [](std::exception_ptr) { ADD_FAILURE(); });
  EXPECT_EQ(sum, 200'000);
}

/// On a thread whose lists are empty yet.
template <class Action>
void on_new_thread(Action action) {
  std::thread(action).join();
}

std::vector<void*> allocate(std::size_t count, std::size_t size) {
  std::vector<void*> frames;
  for (std::size_t i = 0; i < count; ++i) frames.push_back(detail::allocate_frame(size));
  return frames;
}

void release(const std::vector<void*>& frames, std::size_t size) {
  for (void* frame : frames) detail::release_frame(frame, size);
}

TEST(Frames, TheLastOneOfItsClassIsTheNext) {
  if (!detail::kKeepsFrames) GTEST_SKIP() << "none is kept under a sanitizer";
  on_new_thread([] {
    void* const small = detail::allocate_frame(64);
    void* const larger = detail::allocate_frame(65);
    detail::release_frame(small, 64);
    detail::release_frame(larger, 65);
    EXPECT_EQ(detail::allocate_frame(128), larger);
    EXPECT_EQ(detail::allocate_frame(1), small);
    detail::release_frame(small, 1);
    detail::release_frame(larger, 128);
  });
}

TEST(Frames, OfEachClassThirtyTwoAreKept) {
  if (!detail::kKeepsFrames) GTEST_SKIP() << "none is kept under a sanitizer";
  on_new_thread([] {
    const std::vector<void*> made = allocate(40, 200);
    release(made, 200);
    const std::vector<void*> again = allocate(32, 200);
    for (std::size_t i = 0; i < 32; ++i) EXPECT_EQ(again[i], made[31 - i]) << i;
    release(again, 200);
  });
}

TEST(Frames, HaveTheRoomOfTheirClass) {
  on_new_thread([] {
    for (const std::size_t size : {1, 63, 64, 65, 4031, 4032, 4033, 4096, 4097, 100'000}) {
      for (int use = 0; use < 2; ++use) {
        void* const frame = detail::allocate_frame(size);
        EXPECT_GE(::malloc_usable_size(frame), size) << "use " << use;
        detail::release_frame(frame, size);
      }
    }
  });
}

}  // namespace
}  // namespace iron
