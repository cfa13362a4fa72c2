#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "policy/task.h"
#include "proxy/wait/event_loop.h"
#include "proxy/wait/pause.h"

namespace iron::proxy {

/// A result that comes from another thread, or from another handler of the loop, for a session that
/// may be gone by then. Made by who waits for it, in its frame; what is told after its end goes
/// nowhere. Of several results the last one that was not taken counts.
template <class T>
class Later {
  struct Slot {
    Pause* pause;
    std::optional<T> result;
    void tell(T told) {
      if (pause == nullptr) return;
      result = std::move(told);
      pause->wake();
    }
  };

 public:
  explicit Later(Pause& pause) : slot_(std::make_shared<Slot>(Slot{&pause, {}})) {}
  ~Later() { slot_->pause = nullptr; }
  Later(const Later&) = delete;
  Later& operator=(const Later&) = delete;

  /// A function that tells the result; to be called on the loop's thread.
  auto teller() {
    return [slot = slot_](T result) { slot->tell(std::move(result)); };
  }
  /// The same for any thread. `loop()` must still run, or be destroyed with what was posted.
  auto promise() {
    return [slot = slot_, loop = &slot_->pause->loop()](T result) {
      loop->post([slot, result = std::move(result)]() mutable { slot->tell(std::move(result)); });
    };
  }
  bool here() const { return slot_->result.has_value(); }
  std::optional<T> take() { return std::exchange(slot_->result, std::nullopt); }

 private:
  std::shared_ptr<Slot> slot_;
};

/// Sleeps until the result is here; nothing when `given_up()`, asked behind each wake, says that
/// nobody wants it any more, even if it has come.
template <class T, class GivenUp>
Task<std::optional<T>> await(Later<T>& result, Pause& pause, GivenUp given_up) {
  while (!result.here()) {
    co_await pause;
    if (given_up()) co_return std::nullopt;
  }
  co_return result.take();
}

}  // namespace iron::proxy
