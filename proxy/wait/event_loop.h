#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <utility>

#include "proxy/wait/clock.h"
#include "proxy/wait/intrusive_list.h"
#include "proxy/wait/mailbox.h"
#include "proxy/wait/patience.h"
#include "proxy/wait/pause.h"
#include "proxy/wait/poller.h"

namespace iron::proxy {

class Alarm;
class TurnEnd;

/// One thread's loop: what is ready, what is due, who was woken, and the time. Everything that
/// waits (sessions, pools, lookups) has one, and none of them knows whose thread it is. Used on
/// that thread alone, but for post() and mailbox().
///
/// A turn is: look at the descriptors, what other threads sent, what is due, everyone who was
/// woken, and then what is done at the end of a turn.
class EventLoop {
 public:
  /// `clock` outlives it. Throws std::system_error.
  explicit EventLoop(const Clock& clock = Clock::system());
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  SteadyTime now() const { return clock_.now(); }

  /// The thread's body: returns after stop(). What is thrown on the loop ends what was done there
  /// alone; `report()`, which throws nothing, tells of std::current_exception().
  template <class Report>
  void run(Report report) {
    while (!stopped_) {
      try {
        turn(std::chrono::nanoseconds(-1));
      } catch (const std::exception&) {
        report();
      }
    }
  }
  /// On the loop's thread.
  void stop() { stopped_ = true; }
  /// One turn, which waits for up to `limit` for something to happen, negative: for ever. False:
  /// there was nothing. For run(), and for loops that a test turns by hand.
  bool turn(std::chrono::nanoseconds limit = std::chrono::nanoseconds(0));

  /// Runs `action` on the loop's thread. Thread safe.
  template <class Action>
  void post(Action action) {
    // Someone waits for what is posted: without memory it is posted late, not never.
    mailbox_.send(*with_patience([&] { return new Posted<Action>(std::move(action)); }));
  }
  Mailbox& mailbox() { return mailbox_; }
  Poller& poller() { return poller_; }
  /// Calls it once, when everyone who was woken in this turn has gone on.
  void at_turn_end(TurnEnd& end);

  /// Stop accepting work: who yields to the drain ends now, others after what they are at.
  void begin_drain();
  bool draining() const { return draining_; }
  /// Everything ends now.
  void cut_all();
  bool cut() const { return cut_; }

 private:
  friend class Pause;
  friend class Alarm;
  template <class Action>
  struct Posted final : Message {
    explicit Posted(Action action_in) : action(std::move(action_in)) {}
    void deliver() override {
      const std::unique_ptr<Posted> self(this);
      action();
    }
    Action action;
  };
  std::chrono::nanoseconds patience(std::chrono::nanoseconds limit) const;
  void wake_all();
  void see_to(SteadyTime when, std::chrono::nanoseconds grain);
  void tick(IntrusiveList<Pause>& passed);
  static void expire_overdue(IntrusiveList<Pause>& awake, SteadyTime now);
  void settle();
  void end_turn();
  SteadyTime due_pauses(SteadyTime now);
  SteadyTime due_alarms(SteadyTime now);

  const Clock& clock_;
  Poller poller_;
  Mailbox mailbox_;
  IntrusiveList<Pause> pauses_;
  IntrusiveList<Pause> ready_;   ///< woken
  IntrusiveList<Pause> passed_;  ///< gave their turn to the others
  IntrusiveList<Alarm> alarms_;
  IntrusiveList<TurnEnd> ending_;
  SteadyTime next_tick_ = SteadyTime::max();
  bool stopped_ = false;
  bool draining_ = false, cut_ = false;
};

/// Calls `action` on the loop's thread once its time has come; for what no session waits for. What
/// it throws is reported like that of any handler (EventLoop::run).
class Alarm : public ListNode {
 public:
  Alarm(EventLoop& loop, std::function<void()> action);
  /// To a millisecond; replaces the time set before.
  void set(SteadyTime when);
  void cancel() { unlink(); }
  bool is_set() const { return linked(); }

 private:
  friend class EventLoop;
  EventLoop& loop_;
  std::function<void()> action_;
  SteadyTime when_ = SteadyTime::max();
};

/// What is to be done at the end of a turn; see EventLoop::at_turn_end().
class TurnEnd : public ListNode {
 public:
  virtual void on_turn_end() = 0;

 protected:
  ~TurnEnd() = default;
};

}  // namespace iron::proxy
