#include "proxy/net/closing.h"

#include <algorithm>

#include "proxy/net/connection.h"
#include "proxy/wait/event_loop.h"

namespace iron::proxy {
namespace {
/// A client that reads at all has seen our end by then.
constexpr auto kQuiet = std::chrono::seconds(2);
/// One that writes for longer than this before it reads may lose the answer.
constexpr auto kLongest = std::chrono::seconds(15);
/// Nothing tells when an acknowledgement arrives.
constexpr auto kLook = std::chrono::milliseconds(50);
}  // namespace

std::chrono::nanoseconds CloseClock::quiet() const {
  return after_ == After::answer ? kQuiet : std::chrono::nanoseconds(0);
}

bool CloseClock::over(SteadyTime now, bool acknowledged) {
  if (acknowledged && !std::exchange(acknowledged_, true)) quiet_since_ = now;
  if (now - begun_ >= kLongest) return true;
  return acknowledged_ && now - quiet_since_ >= quiet();
}

SteadyTime CloseClock::next_look(SteadyTime now) const {
  return std::min(begun_ + kLongest, acknowledged_ ? quiet_since_ + quiet() : now + kLook);
}

void ClosesUnderWay::set_limit(std::int64_t max_connections) {
  const std::lock_guard lock(mutex_);
  limit_ = static_cast<std::size_t>(std::max<std::int64_t>(1, max_connections / 10));
}

ClosesUnderWay::Place::Place(ClosesUnderWay& closes, Pause& pause)
    : closes_(closes), close_(std::make_shared<Close>()) {
  close_->loop = &pause.loop();
  close_->pause = &pause;
  std::shared_ptr<Close> oldest;
  {
    const std::lock_guard lock(closes_.mutex_);
    at_ = closes_.under_way_.insert(closes_.under_way_.end(), close_);
    if (closes_.under_way_.size() <= closes_.limit_) return;
    oldest = std::move(closes_.under_way_.front());
    closes_.under_way_.pop_front();
    oldest->cut = true;
  }
  oldest->loop->post([oldest] {
    if (oldest->pause != nullptr) oldest->pause->wake();
  });
}

ClosesUnderWay::Place::~Place() {
  close_->pause = nullptr;
  const std::lock_guard lock(closes_.mutex_);
  if (!close_->cut) closes_.under_way_.erase(at_);
}

Task<void> linger(Connection& client,
                  Pause& pause,
                  CloseClock::After after,
                  ClosesUnderWay& closes) {
  EventLoop& loop = pause.loop();
  ClosesUnderWay::Place place(closes, pause);
  CloseClock clock(after, loop.now());
  Turn turn;
  bool told = false;
  while (!loop.cut() && !place.cut()) {
    if (!told) told = client.finish_writing() == Io::ok;
    const IoResult got = client.discard();
    if (got.status == Io::eof || got.status == Io::error) co_return;
    const SteadyTime now = loop.now();
    if (got.status == Io::ok) clock.received(now);
    if (clock.over(now, told && client.stream().all_acknowledged())) co_return;
    turn.moved(got.size);
    if (got.status == Io::ok && !turn.over()) continue;
    turn.begin();
    if (got.status == Io::ok) {
      co_await pause.pass_turn();
    } else {
      pause.set_deadline(clock.next_look(now));
      co_await pause;
    }
  }
}

}  // namespace iron::proxy
