#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/log/line_budget.h"
#include "proxy/log/line_sender.h"
#include "proxy/log/log_alarm.h"
#include "proxy/log/log_chunks.h"
#include "proxy/log/log_waiters.h"

namespace iron::proxy {

/// The lines of the log that have not left yet: who may write them, how many there may be, what was
/// lost (docs/records.md, "Buffering"). Lines leave by lanes, one for stderr and one for the file;
/// one thread at a time has the turn of a lane, and each writes what came before first. It writes
/// nothing itself. Thread safe: each call takes the one lock of the log, but none while a sink is
/// written to.
class LineQueue {
 public:
  using Clock = LogAlarm::Clock;
  using News = LogAlarm::News;
  class Lane;
  using LanePtr = std::shared_ptr<Lane>;

  /// A place in a lane: everything up to it is written, lost and counted, or still on its way.
  class Place {
   public:
    /// There is nothing to wait for.
    bool empty() const { return lane_ == nullptr; }

   private:
    friend class LineQueue;
    LanePtr lane_;
    std::uint64_t position_ = 0;
  };

  /// The right to write to one lane; settle() takes it back. Nobody has it if it is not `mine`.
  class Turn {
   public:
    bool mine() const { return mine_; }
    /// One attempt: `lines`, which begin() got, or what the lane holds.
    LineSender::Progress write(std::string& lines) const;
    /// Of the lines that begin() got, once the turn is over.
    Place& place() { return place_; }

   private:
    friend class LineQueue;
    Place place_;
    LogWaiter* waiter_ = nullptr;
    std::shared_ptr<const LineSender::Nets> nets_;
    std::size_t through_ = 0;  ///< bytes that come from the worker's memory
    std::size_t written_ = 0;  ///< of those that the lane held
    bool mine_ = false;
    bool once_ = false;  ///< for one attempt
  };

  /// What there is to do for who empties the queue.
  struct Outlook {
    bool over = false;    ///< the end was asked for, and has come
    bool due = false;     ///< something can be written now
    bool urgent = false;  ///< and nothing is gained by waiting for more
    bool waited_for = false;
    Clock::time_point retry_at = Clock::time_point::max();  ///< of what is not due
  };
  struct LaneState {
    bool rest = false;     ///< nobody writes what it holds, and it could be written
    bool blocked = false;  ///< its reader does not read
    bool failing = false;
  };
  /// A line that tells how many lines were lost.
  struct Report {
    std::uint64_t count = 0;
    std::string line;
  };

  /// `full`: see LineBudget. `first` is the sink of stderr.
  LineQueue(const LineBudget::Options& options,
            std::unique_ptr<LogSink> first,
            std::atomic<bool>& full);
  LineQueue(const LineQueue&) = delete;
  LineQueue& operator=(const LineQueue&) = delete;

  // -- of who has lines

  /// An operational line with its line feed. `before`: request lines that arose before it; they are
  /// taken if they go the same way, so that the order stays.
  void append(std::string_view line, std::string* before = nullptr);
  /// So many lines could not be made at all.
  void lose(std::uint64_t lines);
  /// Request lines, taken if the turn is not the caller's; else the caller writes them, settles,
  /// and goes on while the turn is still its own. `waiter` is told when more is known about a place
  /// that is not empty.
  Turn begin(std::string& lines, LogWaiter* waiter);
  /// Whether nothing before `place` is to be waited for any more; if not, `waiter` is told.
  bool left(const Place& place, LogWaiter& waiter);
  /// One more attempt for `place` before its reader is given up.
  Turn last_attempt(const Place& place);
  /// See LogWriter::give_up().
  bool give_up(const Place& place, bool in_any_case);
  void attach(LogWaiter& waiter);
  void detach(LogWaiter& waiter);
  /// Request lines take another sink from now on, that of stderr if there is none. What was
  /// appended before still goes to where it belonged.
  void redirect_requests(std::unique_ptr<LogSink> sink);
  /// No line leaves with a key of `net` in it from now on, nor of the net before it, nor of an
  /// older one that somebody else still holds, as the requests of its configuration do.
  void guard(std::shared_ptr<const transforms::KeyNet> net);

  // -- of who writes

  /// Takes over what an attempt came to. `now` is looked at if it failed.
  void settle(Turn& turn, LineSender::Progress& progress, Clock::time_point now);
  /// What happens from here on is news.
  Outlook look(Clock::time_point now);
  /// Lost lines to be told of now, 0 if none are.
  std::uint64_t to_report(Clock::time_point now) const;
  /// A lane that is due; nobody's turn otherwise. A report goes in front of its lines.
  Turn begin_rest(const LanePtr& lane, Clock::time_point now, Report report);
  /// All that are in use; the first is that of stderr.
  void lanes(std::vector<LanePtr>& into) const;
  LaneState state(const Lane& lane) const;
  /// Since look().
  News news() const;
  /// Until there are such news, or until then.
  void sleep(Clock::time_point until, News least);

  // -- of who starts and ends it

  /// Until all that was appended before has left, or been lost. False if it has not in that time.
  bool flush(std::chrono::milliseconds limit);
  void stop(Clock::time_point at_the_latest);

 private:
  void append_line(Lane& lane, std::string_view line);
  void append_lines(Lane& lane, std::string& lines);
  void start_turn(Turn& turn);
  bool end_turn(Turn& turn);
  bool done(const Place& place) const;
  bool urgent() const { return stop_at_ || flushing_ > 0 || budget_.urgent(); }
  bool finished() const;
  bool report_due() const;
  bool has_work(const Lane& lane) const;
  bool may_try(const Lane& lane, Clock::time_point now) const;
  void retire();

  mutable std::mutex mutex_;
  std::condition_variable settled_;
  LogAlarm alarm_;
  LineBudget budget_;
  LossCount loss_;
  LogChunks chunks_;
  LogWaiters waiters_;
  std::vector<LanePtr> lanes_;  ///< the first is stderr; retired ones until empty
  LanePtr requests_;
  std::shared_ptr<const LineSender::Nets> nets_ = std::make_shared<LineSender::Nets>();
  int flushing_ = 0;
  std::optional<Clock::time_point> stop_at_;
};

/// One way out of the queue. Under its lock, but for `sender`, which is of who has the turn.
class LineQueue::Lane {
 public:
  explicit Lane(std::unique_ptr<LogSink> sink) : sender_(std::move(sink)) {}
  /// To poll while it is blocked.
  int descriptor() const { return sender_.sink().descriptor(); }

 private:
  friend class LineQueue;

  bool has_rest() const { return held_ || !pending_.empty(); }
  /// A worker may write to it, once nobody else does.
  bool writable() const { return !blocked_ && !failing_ && never_waits_; }
  void take_over(const LineSender::Progress& progress, Clock::time_point now);

  LogChunkList pending_;
  std::uint64_t appended_ = 0, settled_ = 0;
  bool busy_ = false;     ///< somebody has the turn
  bool stalled_ = false;  ///< nobody waits until the lane has caught up
  // What the last turn left behind.
  bool blocked_ = false, failing_ = false, held_ = false, never_waits_ = true;
  Clock::duration backoff_{};
  Clock::time_point retry_at_{};
  LineSender sender_;
};

}  // namespace iron::proxy
