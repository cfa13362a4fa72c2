#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "policy/result.h"
#include "policy/warnings.h"
#include "proxy/log/log_line.h"
#include "transforms/key_net.h"
#include "transforms/note.h"

namespace iron::proxy {

class LogFront;
class LogWriter;

/// Writes JSON lines: operational records to stderr, request records to stderr or `log.audit_path`.
/// A slow or dead reader never blocks a worker: what it does not take waits in a bounded buffer,
/// which one thread empties (docs/records.md). Thread safe.
class Log {
 public:
  struct Options {
    Level level = Level::info;
    std::size_t buffer_bytes = 64u << 20;
    bool drop_when_full = false;
    int stderr_fd = 2;  ///< where operational records go; another descriptor in tests
    /// Records are kept until start() or flush(), and no thread exists before.
    bool deferred = false;
  };
  explicit Log(const Options& options);
  /// Flushes for one second at most.
  ~Log();
  Log(const Log&) = delete;

  /// Starts the writer thread of a deferred log.
  void start();

  bool enabled(Level level) const { return level >= options_.level; }
  /// A complete operational record: time, level, msg, attributes.
  void write(Level level,
             std::string_view message,
             std::initializer_list<Attribute> attributes = {});
  void write(Level level, std::string_view message, std::span<const Attribute> attributes);
  void write(const policy::ConfigWarning& warning);
  void write(Level level, std::string_view message, std::span<const transforms::Note> attributes);
  /// Memory ran out or an invariant broke, and a session ended by that exception. Never throws.
  void session_failed(const std::exception_ptr& failure) noexcept;
  /// Makes what write() keeps for each thread; then it needs nothing that the C library aborts
  /// without. `records`: where this thread keeps request lines that it has not handed over yet, so
  /// that write() puts them in front of its own line where both go the same way.
  void prepare_thread(std::string* records = nullptr);

  /// A rendered request record (one line with its line feed) that nobody waits for. `level`
  /// filters.
  void request_record(Level level, std::string_view line);
  /// What request lines that are waited for go through.
  LogWriter& writer() { return *writer_; }
  /// True while the buffer is full and `log.when_full` is `wait`: new requests are to wait.
  bool full() const { return full_.load(std::memory_order_relaxed); }

  /// Opens or reopens `log.audit_path` (0600, O_NOFOLLOW, append); an empty path sends request
  /// records to stderr again. Fails with `opening log.audit_path: open <path>: <strerror>`; the old
  /// file stays then.
  Result<void> set_audit_path(const std::string& path);
  /// Waits until everything written so far left, or `milliseconds` passed. False on timeout.
  bool flush(int milliseconds);
  /// Keys that must not stand in any line; those of calls before still count while they are in use.
  void guard(std::shared_ptr<const transforms::KeyNet> net);

 private:
  Options options_;
  std::atomic<bool> full_{false};
  std::unique_ptr<LogWriter> writer_;
  std::unique_ptr<LogFront> front_;
};

}  // namespace iron::proxy
