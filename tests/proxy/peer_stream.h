#pragma once

#include <boost/beast/core/role.hpp>
#include <memory>
#include <span>
#include <string>

#include "tests/proxy/rig_stream.h"

namespace iron::proxy::test {

/// A peer's connection, in the clear until TLS is asked for, and under Boost.Asio's TLS from then
/// on. Besides the errors of RigStream those of TLS: `eof` is an end with close_notify then, and
/// one without is `stream_truncated`.
class PeerStream final : public SyncStream<PeerStream> {
 public:
  PeerStream(SessionRig& rig, ScriptedPeer& peer);
  ~PeerStream();

  /// The client's handshake; verifies the certificate for `host`, a name or an address. Throws
  /// boost::system::system_error.
  void secure_as_client(const std::string& host);
  /// The next step of an origin's; `strange`: with a certificate that the proxy does not trust.
  /// False: more has to come.
  bool secure_as_origin(bool strange, error_code& error);
  bool is_secure() const { return tls_ != nullptr; }

  RigStream& raw() { return raw_; }
  ScriptedPeer& peer() { return raw_.peer(); }
  /// Bytes that were read as far as the connection is concerned, to be read again.
  void unread(std::string bytes) { unread_ = std::move(bytes); }
  std::size_t read(std::span<char> into, error_code& error);
  std::size_t write(std::span<const char> bytes, error_code& error);
  /// All of it; in one record if it fits into one. Throws.
  void write_all(std::string_view bytes);

  /// Ends this side properly: close_notify, FIN.
  void finish();
  /// The close_notify alone.
  void finish_tls();
  /// Reads on to the end: `close_notify`, `end` (without one), `reset`, or `open` if there is none.
  /// What is read before goes to `rest`.
  std::string read_end(std::string* rest = nullptr);
  /// `TLSv1.3`, and so on.
  std::string tls_version() const;

 private:
  struct Tls;
  RigStream raw_;
  std::unique_ptr<Tls> tls_;
  std::string unread_;
};

/// How Beast ends a connection under a WebSocket.
void teardown(boost::beast::role_type role, PeerStream& stream, boost::system::error_code& error);

}  // namespace iron::proxy::test
