#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proxy/log/log_chunks.h"
#include "proxy/log/log_sink.h"
#include "transforms/key_net.h"

namespace iron::proxy {

/// The lines on their way into one sink. A line that was begun is finished before anything else is
/// written, also after a failure in between. Knows neither a lock nor the time: used by one thread
/// at a time, and when to try again is the caller's matter.
class LineSender {
 public:
  using Nets = std::vector<std::shared_ptr<const transforms::KeyNet>>;
  /// What an attempt came to.
  struct Progress {
    std::size_t settled = 0;      ///< bytes written or given up
    std::uint64_t lost = 0;       ///< lines given up
    bool took = false;            ///< the sink took something
    bool blocked = false;         ///< … and then its reader did not read
    bool failed = false;          ///< … or it failed: what was there is given up
    bool report_written = false;  ///< the line of put_report() left
    LogChunkList spent;
  };

  explicit LineSender(std::unique_ptr<LogSink> sink) : sink_(std::move(sink)) {}

  /// Takes chunks of whole lines.
  void put(LogChunkList& chunks) noexcept { chunks_.splice(chunks_.end(), chunks); }
  /// Takes a line that leaves before all others, behind one already begun. It counts neither as
  /// bytes nor as lost.
  void put_report(std::string line) noexcept { report_ = std::move(line); }
  /// Masks the keys of `nets` in what was put, then writes what the sink takes, about `limit` bytes
  /// at most.
  Progress drain(const Nets& nets, std::size_t limit) noexcept;
  /// Does so with `lines`, without a way through a chunk; the sender must be empty. What the sink
  /// does not take now is kept, and `lines` may be empty then.
  Progress write(const Nets& nets, std::string& lines) noexcept;

  bool empty() const { return chunks_.empty() && begun_.empty() && report_.empty(); }
  /// The report is on its way.
  bool reporting() const { return !report_.empty(); }
  const LogSink& sink() const { return *sink_; }

 private:
  /// Whose line has been written in part.
  enum class Within { none, begun, report, chunk };

  long send_some(Progress& progress);
  void stop(long error, Progress& progress);
  void give_up(Progress& progress);

  std::unique_ptr<LogSink> sink_;
  LogChunkList chunks_;
  std::size_t offset_ = 0;  ///< written bytes of the first chunk
  std::string report_;      ///< what is left of it
  std::string begun_;       ///< what is left of a line in whose middle the sink failed
  bool begun_counts_ = false;
  Within within_ = Within::none;
};

}  // namespace iron::proxy
