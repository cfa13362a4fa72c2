#include "proxy/wait/event_loop.h"

#include <algorithm>

namespace iron::proxy {
namespace {
constexpr auto kLongestTick = std::chrono::milliseconds(250);
constexpr unsigned kLongSleepTicks = 2;
/// Deadlines of sessions are long: a thousand of them cost one tick in ten milliseconds.
constexpr auto kPauseGrain = std::chrono::milliseconds(10);
constexpr auto kAlarmGrain = std::chrono::milliseconds(1);

class SystemClock final : public Clock {
 public:
  SteadyTime now() const override { return std::chrono::steady_clock::now(); }
};
}  // namespace

const Clock& Clock::system() {
  static const SystemClock clock;
  return clock;
}

Pause::Pause(EventLoop& loop) : loop_(loop) { loop.pauses_.push_back(*this); }
Pause::~Pause() = default;

void Pause::wake() {
  if (waiting_) {
    loop_.ready_.push_back(*this);
  } else {
    signalled_ = true;
  }
}

void Pause::set_deadline(SteadyTime when) {
  deadline_ = when;
  expired_ = false;
  loop_.see_to(when, kPauseGrain);
}

void Pause::set_timeout(std::chrono::nanoseconds from_now) {
  set_deadline(later(loop_.now(), from_now));
}

void Pause::clear_deadline() {
  deadline_ = SteadyTime::max();
  expired_ = false;
}

Pause& Pause::pass_turn() {
  loop_.passed_.push_back(*this);
  return *this;
}

bool Pause::given_up() const {
  return expired_ || loop_.cut() || (yields_to_drain_ && loop_.draining());
}

Alarm::Alarm(EventLoop& loop, std::function<void()> action)
    : loop_(loop), action_(std::move(action)) {}

void Alarm::set(SteadyTime when) {
  when_ = when;
  loop_.alarms_.push_back(*this);
  loop_.see_to(when, kAlarmGrain);
}

EventLoop::EventLoop(const Clock& clock) : clock_(clock), mailbox_(poller_) {}

EventLoop::~EventLoop() {
  // What was posted owns itself; messages of others were withdrawn before.
  while (Message* message = mailbox_.take()) delete message;
}

bool EventLoop::turn(std::chrono::nanoseconds limit) {
  // Who gave its turn away goes behind what one more look at the descriptors finds.
  IntrusiveList<Pause> passed;
  bool busy = mailbox_.announced() || !ready_.empty() || !ending_.empty();
  while (Pause* pause = passed_.front()) passed.push_back(*pause);
  busy = busy || !passed.empty();
  const bool happened = poller_.wait(busy ? std::chrono::nanoseconds(0) : patience(limit));
  const bool due = next_tick_ != SteadyTime::max() && next_tick_ <= now();
  /// Everyone goes on also when something is thrown.
  struct Rest {
    EventLoop& loop;
    IntrusiveList<Pause>& passed;
    ~Rest() {
      while (Pause* pause = passed.front()) {
        loop.pauses_.push_back(*pause);
        loop.see_to(pause->deadline_, kPauseGrain);
        pause->wake();
      }
      loop.settle();
      loop.end_turn();
    }
  } const rest{*this, passed};
  if (due) tick(passed);
  // What throws leaves those behind it for the next turn.
  while (mailbox_.announced() && mailbox_.deliver_next()) {
  }
  return busy || happened || due;
}

/// How long nothing but a descriptor can be of interest.
std::chrono::nanoseconds EventLoop::patience(std::chrono::nanoseconds limit) const {
  if (next_tick_ == SteadyTime::max() || limit.count() == 0) return limit;
  const auto left = std::max(next_tick_ - now(), SteadyTime::duration(0));
  return limit.count() < 0 ? left : std::min<std::chrono::nanoseconds>(left, limit);
}

void EventLoop::settle() {
  while (Pause* pause = ready_.front()) {
    pauses_.push_back(*pause);
    // A tick may have come while it was not among the others.
    if (pause->deadline_ < next_tick_) see_to(pause->deadline_, kPauseGrain);
    std::exchange(pause->waiting_, {}).resume();
  }
}

void EventLoop::at_turn_end(TurnEnd& end) {
  if (!end.linked()) ending_.push_back(end);
}

void EventLoop::end_turn() {
  IntrusiveList<TurnEnd> ending;
  while (TurnEnd* end = ending_.front()) ending.push_back(*end);
  while (TurnEnd* end = ending.front()) {
    end->unlink();
    end->on_turn_end();
  }
}

void EventLoop::begin_drain() {
  draining_ = true;
  wake_all();
}

void EventLoop::cut_all() {
  cut_ = true;
  wake_all();
}

void EventLoop::wake_all() {
  for (Pause* pause = pauses_.front(); pause != nullptr;) {
    Pause* const following = pauses_.after(*pause);
    pause->wake();
    pause = following;
  }
}

void EventLoop::see_to(SteadyTime when, std::chrono::nanoseconds grain) {
  if (when >= next_tick_) return;
  const SteadyTime now = this->now();
  // Whoever is due before the next one must not put that off for the others.
  next_tick_ = std::min(next_tick_, std::clamp<SteadyTime>(when, now + grain, now + kLongestTick));
}

void EventLoop::tick(IntrusiveList<Pause>& passed) {
  next_tick_ = SteadyTime::max();
  const SteadyTime now = this->now();
  expire_overdue(ready_, now);
  expire_overdue(passed, now);
  SteadyTime alarm = SteadyTime::max();
  try {
    alarm = due_alarms(now);
  } catch (const std::exception&) {
    see_to(now, kAlarmGrain);  // what was not reached is due still
    throw;
  }
  const SteadyTime pause = due_pauses(now);
  if (alarm != SteadyTime::max()) see_to(alarm, kAlarmGrain);
  if (pause != SteadyTime::max()) see_to(pause, kPauseGrain);
}

/// The earliest deadline that is left; of this and of due_alarms().
SteadyTime EventLoop::due_pauses(SteadyTime now) {
  SteadyTime earliest = SteadyTime::max();
  for (Pause* pause = pauses_.front(); pause != nullptr;) {
    Pause* const following = pauses_.after(*pause);
    if (pause->deadline_ <= now) {
      pause->expired_ = true;
      pause->deadline_ = SteadyTime::max();
      pause->wake();
    } else {
      earliest = std::min(earliest, pause->deadline_);
      if (pause->waiting_ && ++pause->ticks_slept_ == kLongSleepTicks &&
          pause->long_sleep_ != nullptr) {
        pause->long_sleep_->on_long_sleep();
      }
    }
    pause = following;
  }
  return earliest;
}

/// Who is about to go on may find that what it waited for has come. Some are about to go on at each
/// look: a peer that sends a byte now and then has no more time than one that sends none.
void EventLoop::expire_overdue(IntrusiveList<Pause>& awake, SteadyTime now) {
  for (Pause* pause = awake.front(); pause != nullptr; pause = awake.after(*pause)) {
    if (pause->deadline_ == SteadyTime::max() || pause->deadline_ + kLongestTick > now) continue;
    pause->expired_ = true;
    pause->deadline_ = SteadyTime::max();
  }
}

SteadyTime EventLoop::due_alarms(SteadyTime now) {
  IntrusiveList<Alarm> waiting;
  while (Alarm* alarm = alarms_.front()) waiting.push_back(*alarm);
  /// Nobody behind one that throws is lost.
  struct Rest {
    IntrusiveList<Alarm>& from;
    IntrusiveList<Alarm>& to;
    ~Rest() {
      while (Alarm* alarm = from.front()) to.push_back(*alarm);
    }
  } const rest{waiting, alarms_};
  while (Alarm* alarm = waiting.front()) {
    if (alarm->when_ > now) {
      alarms_.push_back(*alarm);
      continue;
    }
    alarm->unlink();
    alarm->action_();  // may set it again, or take others along
  }
  SteadyTime earliest = SteadyTime::max();
  for (Alarm* alarm = alarms_.front(); alarm != nullptr; alarm = alarms_.after(*alarm)) {
    earliest = std::min(earliest, alarm->when_);
  }
  return earliest;
}

}  // namespace iron::proxy
