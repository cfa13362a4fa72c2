#include "proxy/log/record_batch.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace iron::proxy {
namespace {
/// Lines beyond this leave before the turn ends.
constexpr std::size_t kMostBytes = 64 * 1024;
constexpr std::size_t kUsuallyHeld = 4;
}  // namespace

RecordBatch::RecordBatch(LogWriter& writer, boost::asio::io_context& context)
    : writer_(writer), context_(context), timer_(context) {
  held_.reserve(kUsuallyHeld);
  writer_.attach(*this);
}

RecordBatch::~RecordBatch() {
  close();
  writer_.detach(*this);
}

void RecordBatch::added(Wait& wait) {
  wait.turn_ = turn_;
  if (requests_ <= 1) {
    write();
    return;
  }
  if (!std::exchange(posted_, true)) {
    boost::asio::post(context_, in_memory(own_memory_, [this] { end_turn(); }));
  }
  if (lines_.size() >= kMostBytes) write();
}

void RecordBatch::close() {
  if (!lines_.empty()) write();
}

/// Runs behind everything that was ready when the first line of the turn was added.
void RecordBatch::end_turn() {
  posted_ = false;
  write();
  resume();
}

void RecordBatch::write() {
  try {
    LogWriter::Place place = writer_.write(lines_, this);
    if (!place.empty()) {
      const auto now = Clock::now();
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

void RecordBatch::on_progress() noexcept {
  if (told_.exchange(true, std::memory_order_acquire)) return;
  boost::asio::post(context_, in_memory(message_memory_, [this] {
                      told_.store(false, std::memory_order_release);
                      drop_left();
                      resume();
                    }));
}

void RecordBatch::watch_patience() {
  if (held_.empty() || std::exchange(timed_, true)) return;
  timer_.expires_at(held_.front().until);
  timer_.async_wait(in_memory(own_memory_, [this](const boost::system::error_code& error) {
    timed_ = false;
    if (!error) lose_patience();
  }));
}

void RecordBatch::lose_patience() {
  const auto now = Clock::now();
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
