#include "proxy/log/line_queue.h"

#include <algorithm>
#include <utility>

namespace iron::proxy {
namespace {
constexpr std::size_t kTurnBytes = 1024 * 1024;
constexpr std::chrono::milliseconds kFirstRetry{10}, kLastRetry{1000};
}  // namespace

LineSender::Progress LineQueue::Turn::write(std::string& lines) const {
  LineSender& sender = place_.lane_->sender_;
  return through_ > 0 ? sender.write(*nets_, lines) : sender.drain(*nets_, kTurnBytes);
}

void LineQueue::Lane::take_over(const LineSender::Progress& progress, Clock::time_point now) {
  settled_ += progress.settled;
  blocked_ = progress.blocked;
  if (progress.took) {
    failing_ = false;
    backoff_ = {};
  }
  if (progress.failed) {
    failing_ = true;
    backoff_ = std::clamp<Clock::duration>(backoff_ * 2, kFirstRetry, kLastRetry);
    retry_at_ = now + backoff_;
  }
  held_ = !sender_.empty();
  never_waits_ = sender_.sink().never_waits();
  if (!has_rest()) stalled_ = false;
}

LineQueue::LineQueue(const LineBudget::Options& options,
                     std::unique_ptr<LogSink> first,
                     std::atomic<bool>& full)
    : budget_(options, full) {
  lanes_.push_back(std::make_shared<Lane>(std::move(first)));
  requests_ = lanes_.front();
}

void LineQueue::append(std::string_view line, std::string* before) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    const bool was_urgent = budget_.urgent();
    const std::size_t held = budget_.held();
    if (before != nullptr && requests_ == lanes_.front()) append_lines(*requests_, *before);
    append_line(*lanes_.front(), line);
    if (budget_.held() == held) return;
    wake = alarm_.raise(!was_urgent && budget_.urgent() ? News::urgent : News::lines);
  }
  if (wake) alarm_.notify();
}

void LineQueue::lose(std::uint64_t lines) {
  {
    const std::lock_guard lock(mutex_);
    loss_.add(lines);
    if (!alarm_.raise(News::lines)) return;
  }
  alarm_.notify();
}

void LineQueue::append_line(Lane& lane, std::string_view line) {
  if (!budget_.admits(line.size())) {
    loss_.add(1);
    return;
  }
  try {
    chunks_.append(lane.pending_, line);
  } catch (const std::bad_alloc&) {
    loss_.add(1);
    return;
  }
  lane.appended_ += line.size();
  budget_.take(line.size());
}

void LineQueue::append_lines(Lane& lane, std::string& lines) {
  std::string_view rest = lines;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n') + 1);
    append_line(lane, line);
    rest.remove_prefix(line.size());
  }
  lines.clear();
}

LineQueue::Turn LineQueue::begin(std::string& lines, LogWaiter* waiter) {
  Turn turn;
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    Lane& lane = *requests_;
    turn.place_.lane_ = requests_;
    turn.waiter_ = waiter;
    const bool may_write = !lane.busy_ && lane.writable();
    if (may_write && !lane.has_rest()) {
      // The usual way: nothing else is there, and the lines go from the worker's memory to the
      // kernel.
      lane.appended_ += lines.size();
      turn.through_ = lines.size();
    } else {
      append_lines(lane, lines);
    }
    turn.place_.position_ = lane.appended_;
    if (may_write && (lane.has_rest() || !lines.empty())) {
      start_turn(turn);
    } else {
      wake = end_turn(turn);
    }
  }
  if (wake) alarm_.notify();
  return turn;
}

void LineQueue::start_turn(Turn& turn) {
  Lane& lane = *turn.place_.lane_;
  turn.mine_ = lane.busy_ = true;
  turn.nets_ = nets_;
  lane.sender_.put(lane.pending_);
}

/// True if the log's thread is to be woken.
bool LineQueue::end_turn(Turn& turn) {
  const LanePtr& lane = turn.place_.lane_;
  if (std::exchange(turn.mine_, false)) lane->busy_ = false;
  const bool waits = turn.waiter_ != nullptr && !done(turn.place_);
  if (waits) waiters_.wait(*turn.waiter_);
  if (lane != requests_) retire();
  const bool work = (lane->has_rest() && !lane->busy_) || report_due();
  if (!waits) turn.place_.lane_.reset();
  if (!work || turn.once_) return false;
  return alarm_.raise(waits ? News::urgent : News::lines);
}

void LineQueue::settle(Turn& turn, LineSender::Progress& progress, Clock::time_point now) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    Lane& lane = *turn.place_.lane_;
    lane.take_over(progress, now);
    if (const std::size_t bytes = std::exchange(turn.through_, 0); bytes > 0) {
      budget_.take(bytes - progress.settled);
    } else {
      budget_.release(progress.settled);
      turn.written_ += progress.settled;
    }
    if (&lane == lanes_.front().get() && loss_.reporting()) {
      if (progress.report_written) loss_.reported();
      // If it was lost with the rest it is told again at the next attempt.
      if (!lane.sender_.reporting()) loss_.end_report();
    }
    loss_.add(progress.lost);
    chunks_.give_back(progress.spent);
    waiters_.tell();
    if (flushing_ > 0) settled_.notify_all();
    // What others appended meanwhile, too: they do not write, for somebody did.
    if (!turn.once_ && lane.writable() && lane.has_rest() && turn.written_ < kTurnBytes) {
      start_turn(turn);
    } else {
      wake = end_turn(turn);
    }
  }
  if (wake) alarm_.notify();
}

bool LineQueue::done(const Place& place) const {
  const Lane& lane = *place.lane_;
  return lane.settled_ >= place.position_ || lane.stalled_ || lane.failing_;
}

bool LineQueue::left(const Place& place, LogWaiter& waiter) {
  const std::lock_guard lock(mutex_);
  if (done(place)) return true;
  waiters_.wait(waiter);
  return false;
}

LineQueue::Turn LineQueue::last_attempt(const Place& place) {
  const std::lock_guard lock(mutex_);
  Turn turn;
  const Lane& lane = *place.lane_;
  // The log's thread may have had no time yet to see what the reader took.
  if (lane.busy_ || lane.failing_ || !lane.never_waits_) return turn;
  turn.place_ = place;
  turn.once_ = true;
  start_turn(turn);
  return turn;
}

bool LineQueue::give_up(const Place& place, bool in_any_case) {
  const std::lock_guard lock(mutex_);
  Lane& lane = *place.lane_;
  if (lane.busy_ && lane.never_waits_ && !in_any_case) return false;
  if (!done(place)) lane.stalled_ = true;
  return true;
}

void LineQueue::attach(LogWaiter& waiter) {
  const std::lock_guard lock(mutex_);
  waiters_.attach(waiter);
}

void LineQueue::detach(LogWaiter& waiter) {
  const std::lock_guard lock(mutex_);
  waiters_.detach(waiter);
}

void LineQueue::redirect_requests(std::unique_ptr<LogSink> sink) {
  LanePtr lane = sink ? std::make_shared<Lane>(std::move(sink)) : nullptr;
  const std::lock_guard lock(mutex_);
  if (lane) lanes_.push_back(lane);
  requests_ = lane ? std::move(lane) : lanes_.front();
  retire();
}

/// Files that were rotated away are closed once all of theirs is written.
void LineQueue::retire() {
  std::erase_if(lanes_, [this](const LanePtr& lane) {
    return lane != lanes_.front() && lane != requests_ && !lane->busy_ && !lane->has_rest();
  });
}

void LineQueue::guard(std::shared_ptr<const transforms::KeyNet> net) {
  auto next = std::make_shared<LineSender::Nets>();
  const std::lock_guard lock(mutex_);
  next->reserve(nets_->size() + 1);
  next->push_back(std::move(net));
  // What is pending is masked by whoever writes it, with the nets of then.
  const bool pending =
      std::ranges::any_of(lanes_, [](const LanePtr& lane) { return !lane->pending_.empty(); });
  for (const auto& older : *nets_) {
    if (next->size() == 1 || pending || older.use_count() > 1) next->push_back(older);
  }
  nets_ = std::move(next);
}

LineQueue::Outlook LineQueue::look(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  alarm_.reset();
  Outlook outlook;
  outlook.over = stop_at_ && (finished() || now >= *stop_at_);
  outlook.due = stop_at_.has_value();
  outlook.urgent = urgent();
  outlook.waited_for = waiters_.any();
  for (const LanePtr& lane : lanes_) {
    if (!has_work(*lane)) continue;
    if (may_try(*lane, now)) {
      outlook.due = true;
    } else {
      outlook.retry_at = std::min(outlook.retry_at, lane->retry_at_);
    }
  }
  return outlook;
}

/// One that is busy wakes the log's thread if something is left.
bool LineQueue::has_work(const Lane& lane) const {
  const bool report = &lane == lanes_.front().get() && report_due();
  return !lane.busy_ && (report || lane.has_rest());
}

bool LineQueue::may_try(const Lane& lane, Clock::time_point now) const {
  return !lane.failing_ || urgent() || lane.retry_at_ <= now;
}

bool LineQueue::finished() const {
  return budget_.held() == 0 && (loss_.count() == 0 || lanes_.front()->failing_);
}

// While another file fails the count still grows, so it is told later.
bool LineQueue::report_due() const {
  if (loss_.count() == 0 || loss_.reporting() || budget_.dropping()) return false;
  if (lanes_.front()->failing_ || stop_at_) return true;
  return std::none_of(lanes_.begin() + 1, lanes_.end(),
                      [](const LanePtr& lane) { return lane->failing_; });
}

// A failing stderr is tried with the report itself.
std::uint64_t LineQueue::to_report(Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  const Lane& lane = *lanes_.front();
  return report_due() && !lane.busy_ && may_try(lane, now) ? loss_.count() : 0;
}

LineQueue::Turn LineQueue::begin_rest(const LanePtr& lane, Clock::time_point now, Report report) {
  const std::lock_guard lock(mutex_);
  Turn turn;
  if (lane->busy_ || !may_try(*lane, now)) return turn;
  if (report.count > 0) {
    loss_.begin_report(report.count);
    if (report.line.empty()) {  // nothing is to be said
      loss_.reported();
      loss_.end_report();
    } else {
      lane->sender_.put_report(std::move(report.line));
      lane->held_ = true;
    }
  }
  if (!lane->has_rest()) return turn;
  turn.place_.lane_ = lane;
  turn.once_ = true;
  start_turn(turn);
  return turn;
}

void LineQueue::lanes(std::vector<LanePtr>& into) const {
  const std::lock_guard lock(mutex_);
  into = lanes_;
}

LineQueue::LaneState LineQueue::state(const Lane& lane) const {
  const std::lock_guard lock(mutex_);
  return {.rest = lane.has_rest() && !lane.busy_ && !lane.blocked_ && !lane.failing_,
          .blocked = lane.blocked_,
          .failing = lane.failing_};
}

LineQueue::News LineQueue::news() const {
  const std::lock_guard lock(mutex_);
  return alarm_.news();
}

void LineQueue::sleep(Clock::time_point until, News least) {
  std::unique_lock lock(mutex_);
  alarm_.sleep(lock, until, least);
}

bool LineQueue::flush(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  std::vector<std::pair<LanePtr, std::uint64_t>> targets;
  for (const LanePtr& lane : lanes_) targets.emplace_back(lane, lane->appended_);
  ++flushing_;
  if (alarm_.raise(News::urgent)) alarm_.notify();
  const bool done = settled_.wait_for(lock, limit, [&targets] {
    return std::ranges::all_of(
        targets, [](const auto& target) { return target.first->settled_ >= target.second; });
  });
  --flushing_;
  return done;
}

void LineQueue::stop(Clock::time_point at_the_latest) {
  {
    const std::lock_guard lock(mutex_);
    stop_at_ = at_the_latest;
    if (!alarm_.raise(News::urgent)) return;
  }
  alarm_.notify();
}

}  // namespace iron::proxy
