#include "proxy/log/log_drain.h"

#include <new>
#include <utility>

namespace iron::proxy {
namespace {
constexpr std::chrono::milliseconds kBatchWait{10};
// Short: the other lanes and the end of the program are looked after in between.
constexpr std::chrono::milliseconds kReaderWait{50}, kShortReaderWait{10};
}  // namespace

LogDrain::LogDrain(LineQueue& queue, RenderLost render_lost)
    : queue_(queue), render_lost_(std::move(render_lost)) {}

LogDrain::Step LogDrain::step(Clock::time_point now, bool reader_took) {
  const LineQueue::Outlook outlook = queue_.look(now);
  if (outlook.over) return {.ended = true};
  if (!outlook.due) {
    batch_until_.reset();
    return {.wait_until = outlook.retry_at, .wake = News::lines};
  }
  if (!batch_until_) batch_until_ = now + kBatchWait;
  // What a reader left lying is no batch that grows: pauses would keep it behind for ever.
  const bool at_once = outlook.urgent || outlook.waited_for || reader_took;
  if (!at_once && now < *batch_until_) return {.wait_until = *batch_until_, .wake = News::urgent};
  batch_until_.reset();
  try {
    queue_.lanes(lanes_);
    for (const LineQueue::LanePtr& lane : lanes_) write(lane, now);
    return wait_for_readers(now);
  } catch (const std::bad_alloc&) {
    // Nothing was taken out of the queue, and there may be memory for it in a moment.
    return {.wait_until = now + kBatchWait};
  }
}

void LogDrain::write(const LineQueue::LanePtr& lane, Clock::time_point now) {
  LineQueue::Report report;
  if (lane == lanes_.front()) report.count = queue_.to_report(now);
  if (report.count > 0) report.line = render_lost_(report.count);
  LineQueue::Turn turn = queue_.begin_rest(lane, now, std::move(report));
  if (!turn.mine()) return;
  std::string none;
  LineSender::Progress progress = turn.write(none);
  queue_.settle(turn, progress, now);
}

LogDrain::Step LogDrain::wait_for_readers(Clock::time_point now) const {
  Step step;
  bool failing = false;
  for (const LineQueue::LanePtr& lane : lanes_) {
    const LineQueue::LaneState state = queue_.state(*lane);
    if (state.rest) return {};
    if (state.blocked) step.readers.push_back({lane->descriptor(), POLLOUT, 0});
    failing = failing || state.failing;
  }
  if (step.readers.empty() && !failing) return {};
  step.wait_until = now + (lanes_.size() > 1 || failing ? kShortReaderWait : kReaderWait);
  return step;
}

}  // namespace iron::proxy
