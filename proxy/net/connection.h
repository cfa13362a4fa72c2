#pragma once

#include <string>

#include "policy/task.h"
#include "proxy/wait/watch.h"
#include "tls/stream.h"

namespace iron::proxy {

using tls::Io;
using tls::IoResult;

/// A stream with its readiness: what sessions read from and write to.
class Connection {
 public:
  /// `kind`: Watch::Kind::dial for a connection that is not there yet.
  Connection(EventLoop& loop, int descriptor, Watch::Kind kind = Watch::Kind::stream);

  tls::Stream& stream() { return stream_; }
  const tls::Stream& stream() const { return stream_; }
  /// Whose sleep this connection's readiness ends.
  void set_pause(Pause* pause) { watch_.set_pause(pause); }

  /// Reads if bytes may be there; arms the wait and says want_read otherwise. Never reads in vain
  /// when the loop has not announced anything.
  IoResult read(std::span<char> into);
  IoResult write(std::span<const char> bytes);
  /// Ends our side for good; arms the wait for what has not left yet.
  Io finish_writing();
  /// tls::Stream::discard(); arms the wait when there is nothing.
  IoResult discard();
  /// One handshake step; arms what it waits for.
  IoResult handshake();
  /// Whether read() would try.
  bool maybe_readable() const { return watch_.readable() || stream_.has_pending(); }
  /// Nothing is there to be read; the kernel is asked where what was read leaves it open.
  bool quiet();
  void arm_read() { watch_.arm_read(); }
  void arm_write() { watch_.arm_write(); }
  /// A write event came since arm_write(): a connect is decided.
  bool writable() const { return watch_.writable(); }
  /// For a fresh connection: the first read is tried without waiting.
  void expect_bytes() { fresh_ = true; }

 private:
  IoResult settle(IoResult result);
  tls::Stream stream_;
  Watch watch_;  // behind the stream: it lets go of the descriptor before that is closed
  bool fresh_ = false;
};

/// Reads at least one byte, sleeping as needed. Io::error also when the pause has given_up().
Task<IoResult> read_some(Connection& connection, Pause& pause, std::span<char> into);
/// Writes everything; each stretch without progress may last `stall`. Leaves no deadline behind.
Task<bool> write_all(Connection& connection,
                     Pause& pause,
                     std::string_view bytes,
                     std::chrono::nanoseconds stall);
/// Runs a TLS handshake; mints the leaf on the server side. Io::error also when the pause has
/// given_up().
Task<Io> finish_handshake(Connection& connection, Pause& pause, tls::LeafStore* store);

}  // namespace iron::proxy
