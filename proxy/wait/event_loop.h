#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "proxy/wait/clock.h"
#include "proxy/wait/intrusive_list.h"
#include "proxy/wait/loop.h"
#include "proxy/wait/pause.h"

namespace iron::proxy {

/// One thread's loop: what is ready, what is due, who was woken, and the time. Everything that
/// waits (sessions, pools, lookups) has one, and none of them knows the worker whose thread it is.
/// Used on that thread alone, but for post().
class EventLoop {
 public:
  /// `clock` outlives it.
  explicit EventLoop(const Clock& clock = Clock::system());
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  SteadyTime now() const { return clock_.now(); }

  /// The thread's body: returns after stop(). What a handler throws ends what that handler did;
  /// `report()`, which throws nothing, tells of std::current_exception().
  template <class Report>
  void run(Report report) {
    run_loop(context_, std::move(report));
  }
  void stop();
  /// Runs what is ready, and what the clock has made due, without waiting for more. False: there
  /// was nothing. For loops that a test turns by hand.
  bool turn();

  /// Runs `action` on the loop's thread. Thread safe.
  template <class Action>
  void post(Action action) {
    // Someone waits for what is posted: without memory it is posted late, not never.
    const auto held = with_patience([&] { return std::make_shared<Action>(std::move(action)); });
    with_patience(
        [&] { boost::asio::post(context_, [this, held] { handle([&held] { (*held)(); }); }); });
  }
  /// The body of every handler of the loop: `action()`, then everyone it woke goes on.
  template <class Action>
  void handle(Action action) {
    const bool outermost = !std::exchange(handling_, true);
    if (!outermost) return action();
    const Settle settle{*this};
    action();
  }

  /// Stop accepting work: who yields to the drain ends now, others after what they are at.
  void begin_drain();
  bool draining() const { return draining_; }
  /// Everything ends now.
  void cut_all();
  bool cut() const { return cut_; }

  /// For sockets and timers of Asio's own.
  boost::asio::io_context& context() { return context_; }

 private:
  friend class Pause;
  friend class Alarm;
  /// Resumes the woken also when the handler failed.
  struct Settle {
    EventLoop& loop;
    ~Settle() { loop.settle(); }
  };
  void settle();
  void make_ready(Pause& pause);
  void wake_all();
  void pass_turn(Pause& pause);
  void next_turn();
  void see_to(SteadyTime when, std::chrono::nanoseconds grain);
  void tick();
  SteadyTime due_pauses(SteadyTime now);
  SteadyTime due_alarms(SteadyTime now);

  const Clock& clock_;
  // Sockets are touched by this thread alone; only posts come from other threads.
  boost::asio::io_context context_{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<HandlerMemory> tick_memory_ = std::make_shared<HandlerMemory>();
  std::shared_ptr<HandlerMemory> turn_memory_ = std::make_shared<HandlerMemory>();
  IntrusiveList<Pause> pauses_;
  IntrusiveList<Pause> ready_;   ///< woken
  IntrusiveList<Pause> passed_;  ///< gave their turn to the others
  IntrusiveList<class Alarm> alarms_;
  SteadyTime next_tick_ = SteadyTime::max();
  bool handling_ = false;  ///< a handler runs, behind which the woken go on
  bool turn_posted_ = false;
  bool draining_ = false, cut_ = false;
};

/// Calls `action` on the loop's thread once its time has come; for what no session waits for.
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

}  // namespace iron::proxy
