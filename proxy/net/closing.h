#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include "policy/task.h"
#include "proxy/wait/pause.h"

namespace iron::proxy {

class Connection;

/// When a close that waits for its client is over (RFC 9112 section 9.6). Our side has ended, and
/// what the client still sends is thrown away, so that no reset overtakes the last answer. Decides
/// only; docs/life-of-a-request.md, "The close".
class CloseClock {
 public:
  enum class After {
    answer,  ///< the client may not have looked at it yet
    idling,  ///< it had time to; what its system does not have yet must still get there
  };
  CloseClock(After after, SteadyTime begun) : after_(after), begun_(begun), quiet_since_(begun) {}
  void received(SteadyTime now) { quiet_since_ = now; }
  /// `acknowledged`: the client's system has all that we sent. To be asked again at next_look().
  bool over(SteadyTime now, bool acknowledged);
  SteadyTime next_look(SteadyTime now) const;

 private:
  std::chrono::nanoseconds quiet() const;
  After after_;
  SteadyTime begun_, quiet_since_;
  bool acknowledged_ = false;
};

/// The closes under way of all workers: at most a tenth of `proxy.limits.max_connections`. Beyond
/// it the oldest is cut. Thread safe; the lock is taken once a close, never for a request.
class ClosesUnderWay {
  struct Close {
    EventLoop* loop = nullptr;
    Pause* pause = nullptr;  ///< touched on its loop's thread alone
    std::atomic<bool> cut{false};
  };
  using List = std::list<std::shared_ptr<Close>>;

 public:
  void set_limit(std::int64_t max_connections);

  /// One close, from its begin to its end, on the loop of `pause`.
  class Place {
   public:
    Place(ClosesUnderWay& closes, Pause& pause);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    /// Another one needed the place.
    bool cut() const { return close_->cut.load(std::memory_order_relaxed); }

   private:
    ClosesUnderWay& closes_;
    std::shared_ptr<Close> close_;
    List::iterator at_;
  };

 private:
  std::mutex mutex_;
  List under_way_;  ///< oldest first, without those that were cut
  std::size_t limit_ = 1000;
};

/// Ends our side of `client` and throws away what it still sends, so that no reset overtakes the
/// last answer; within the bounds of CloseClock and ClosesUnderWay. Holds no memory.
Task<void> linger(Connection& client,
                  Pause& pause,
                  CloseClock::After after,
                  ClosesUnderWay& closes);

}  // namespace iron::proxy
