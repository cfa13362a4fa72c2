#include "proxy/log/record_batch.h"

#include <utility>

namespace iron::proxy {
namespace {
/// Lines beyond this leave before the turn ends.
constexpr std::size_t kMostBytes = 64 * 1024;
constexpr std::size_t kUsuallyHeld = 4;
}  // namespace

RecordBatch::RecordBatch(LogWriter& writer, EventLoop& loop)
    : writer_(writer), loop_(loop), patience_ends_(loop, [this] { lose_patience(); }) {
  held_.reserve(kUsuallyHeld);
  writer_.attach(*this);
}

RecordBatch::~RecordBatch() {
  close();
  writer_.detach(*this);
  loop_.mailbox().withdraw(progress_);
}

void RecordBatch::added(Wait& wait) {
  wait.turn_ = turn_;
  if (requests_ <= 1) {
    write();
    return;
  }
  loop_.at_turn_end(*this);
  if (lines_.size() >= kMostBytes) write();
}

void RecordBatch::close() {
  if (!lines_.empty()) write();
}

void RecordBatch::on_turn_end() {
  write();
  resume();
}

void RecordBatch::write() {
  try {
    LogWriter::Place place = writer_.write(lines_, this);
    if (!place.empty()) {
      const SteadyTime now = loop_.now();
      held_.push_back({std::move(place), turn_, now, now + kPatience});
      watch_patience();
    }
  } catch (const std::bad_alloc&) {
    lines_.clear();  // nobody waits for what there is no memory for
  }
  ++turn_;
  drop_left();
}

/// Held ones leave in their order, so the first decides.
void RecordBatch::drop_left() {
  while (!held_.empty() && writer_.left(held_.front().place, *this)) held_.erase(held_.begin());
  left_ = held_.empty() ? turn_ - 1 : held_.front().turn - 1;
}

void RecordBatch::Progress::deliver() {
  batch.drop_left();
  batch.resume();
}

void RecordBatch::watch_patience() {
  if (!held_.empty() && !patience_ends_.is_set()) patience_ends_.set(held_.front().until);
}

void RecordBatch::lose_patience() {
  const SteadyTime now = loop_.now();
  for (Held& held : held_) {
    if (held.until > now) continue;
    if (!writer_.give_up(held.place, held.until - held.since >= kMostPatience)) {
      held.until = now + kPatience;
    }
  }
  drop_left();
  watch_patience();
  resume();
}

void RecordBatch::resume() {
  // Whoever goes on may add lines, wait again, or end and take others along.
  IntrusiveList<Wait> due;
  for (Wait* wait = waiting_.front(); wait != nullptr;) {
    Wait* const following = waiting_.after(*wait);
    if (wait->await_ready()) due.push_back(*wait);
    wait = following;
  }
  while (Wait* const wait = due.front()) {
    wait->unlink();
    std::exchange(wait->sleeper_, {}).resume();
  }
}

}  // namespace iron::proxy
