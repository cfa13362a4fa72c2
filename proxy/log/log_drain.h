#pragma once

#include <poll.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "proxy/log/line_queue.h"

namespace iron::proxy {

/// Empties the queue of the log of what no worker has written itself: what the log's thread does,
/// step by step, without a thread and without a clock.
class LogDrain {
 public:
  using Clock = LineQueue::Clock;
  using News = LineQueue::News;
  /// Renders the record that tells how many lines were lost; an empty line means that nothing is
  /// said.
  using RenderLost = std::function<std::string(std::uint64_t)>;
  /// What comes before the next step.
  struct Step {
    bool ended = false;  ///< there is none
    /// If it is not in the past: sleep until then, or until `wake` or one of `readers` has room.
    Clock::time_point wait_until{};
    News wake = News::none;
    std::vector<pollfd> readers{};
  };

  LogDrain(LineQueue& queue, RenderLost render_lost);

  /// `reader_took`: one of the step before has room now.
  Step step(Clock::time_point now, bool reader_took = false);

 private:
  void write(const LineQueue::LanePtr& lane, Clock::time_point now);
  Step wait_for_readers(Clock::time_point now) const;

  LineQueue& queue_;
  RenderLost render_lost_;
  std::optional<Clock::time_point> batch_until_;  ///< while lines are let come together
  std::vector<LineQueue::LanePtr> lanes_;         ///< kept until the next step: readers are polled
};

}  // namespace iron::proxy
