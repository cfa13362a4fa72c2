#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proxy/log/log_writer.h"
#include "proxy/wait/event_loop.h"
#include "proxy/wait/intrusive_list.h"

namespace iron::proxy {

/// The record lines of one turn of a worker's loop, which leave with one write at its end, and the
/// sessions that hold back the last bytes of an answer until then (docs/records.md, "Buffering").
/// Used on the worker's thread alone.
class RecordBatch final : private LogWaiter, private TurnEnd {
 public:
  /// A reader that has not taken a line for so long is not waited for; a disk, and a thread of ours
  /// that waits for a processor while it writes, are given more.
  static constexpr std::chrono::milliseconds kPatience{5}, kMostPatience{1000};

  /// One session's wait for the last line that it added. Awaiting it sleeps until that line has
  /// reached the kernel, was counted as lost, or its reader has stalled; at once if there is none.
  class Wait : public ListNode {
   public:
    explicit Wait(RecordBatch& batch) : batch_(batch) {}
    bool await_ready() const { return turn_ <= batch_.left_; }
    void await_suspend(std::coroutine_handle<> sleeper) {
      sleeper_ = sleeper;
      batch_.waiting_.push_back(*this);
    }
    void await_resume() const {}

   private:
    friend class RecordBatch;
    RecordBatch& batch_;
    std::uint64_t turn_ = 0;  ///< in which its line was added
    std::coroutine_handle<> sleeper_;
  };

  /// The loop outlives it.
  RecordBatch(LogWriter& writer, EventLoop& loop);
  ~RecordBatch() override;
  RecordBatch(const RecordBatch&) = delete;

  /// How many requests are under way on this worker. A single one has nobody to share a write with,
  /// so its line leaves as soon as it is added.
  void request_began() { ++requests_; }
  void request_ended() { --requests_; }
  /// A line is appended to it, then added() is called.
  std::string& lines() { return lines_; }
  void added(Wait& wait);
  /// Hands over what is there, without waking anybody: the loop ends.
  void close();

 private:
  /// Lines that were not written at once.
  struct Held {
    LogWriter::Place place;
    std::uint64_t turn = 0;
    SteadyTime since{}, until{};  ///< how long they are waited for
  };

  /// Lines have left, says another thread.
  struct Progress final : Message {
    explicit Progress(RecordBatch& batch_in) : batch(batch_in) {}
    void deliver() override;
    RecordBatch& batch;
  };

  void on_progress() noexcept override { loop_.mailbox().send(progress_); }
  void on_turn_end() override;
  void write();
  void drop_left();
  void lose_patience();
  void watch_patience();
  void resume();

  LogWriter& writer_;
  EventLoop& loop_;
  Alarm patience_ends_;
  Progress progress_{*this};
  std::string lines_;
  std::uint64_t turn_ = 1, left_ = 0;  ///< the one that collects; the last one nobody waits for
  std::vector<Held> held_;
  IntrusiveList<Wait> waiting_;
  std::size_t requests_ = 0;
};

}  // namespace iron::proxy
