#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "proxy/log/record_batch.h"
#include "proxy/net/connection.h"
#include "proxy/wait/buffers.h"

namespace iron::proxy {

/// Judges the beginning of a flow before any of it is passed on.
class FirstBytes {
 public:
  enum class Verdict { wait, pass, refuse };
  virtual ~FirstBytes() = default;
  /// `bytes`: all that came. `ended`: nothing more will; the verdict is not `wait` then.
  virtual Verdict judge(std::string_view bytes, bool ended, SteadyTime now) = 0;
  /// Until when to wait, once bytes have come.
  virtual SteadyTime deadline() const = 0;
  virtual void expire() = 0;  ///< the deadline passed, and the relay ends
};

/// One direction of a byte relay.
struct RelayFlow {
  Connection* from = nullptr;
  Connection* to = nullptr;
  Buffer buffer;                      ///< may hold bytes already
  std::uint64_t bytes = 0;            ///< written so far
  bool ended = false;                 ///< `from` ended and `to` was told
  bool reading = true;                ///< `from` has not ended
  FirstBytes* first_bytes = nullptr;  ///< of the first flow only; null once they were judged
};

struct RelayRules {
  bool half_close = true;  ///< the other direction goes on after an end
  /// Both sides close this long after one side of a TLS connection ended; 0: only at the other's
  /// end.
  std::chrono::nanoseconds after_end = std::chrono::seconds(60);
  std::chrono::nanoseconds stall{};  ///< no progress while something waits to be written
  bool sensitive = false;            ///< what the upstream sends may hold a key: buffers are wiped
  /// Called once before the client is told that the upstream ended: the time for the record. What
  /// it returns is awaited.
  std::function<RecordBatch::Wait&()> before_client_end;
};

/// What ended a relay.
struct RelayEnd {
  std::string problem;  ///< for the log; empty: both directions ended properly
  bool silent = false;  ///< a peer did not take what was there for it, which the record says
};

/// Copies both ways with back-pressure until both directions ended, one failed, or the drain is
/// over. A direction without bytes holds no buffer. Two fast peers leave others of the worker their
/// turn.
Task<RelayEnd> relay(
    Pause& pause, BufferPool& buffers, RelayFlow& up, RelayFlow& down, const RelayRules& rules);

}  // namespace iron::proxy
