#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tls/leaf.h"

namespace iron::tls {

class ServerContext;
class UpstreamContext;
class SessionStore;

/// Outcome of a non-blocking step.
enum class Io {
  ok,
  want_read,   ///< wait until the descriptor is readable
  want_write,  ///< wait until it is writable
  want_leaf,   ///< server handshake: mint a leaf for server_name(), give it to set_leaf(), call
               ///< again
  eof,         ///< the peer ended its side properly
  error,       ///< reset, broken TLS, or TLS that ended inside a record
};

struct IoResult {
  Io status = Io::ok;
  std::size_t size = 0;
};

/// One TCP connection, in the clear or under TLS, non-blocking. Knows nothing of loops or HTTP: it
/// is told when to try, and says what it waits for. Owns the descriptor. Not movable: OpenSSL
/// points back at it.
class Stream {
 public:
  explicit Stream(int descriptor) : descriptor_(descriptor) {}
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  int descriptor() const { return descriptor_; }
  bool is_tls() const { return ssl_ != nullptr; }
  SSL* ssl() const { return ssl_; }

  /// Bytes that were read too early; they are delivered first, also to a TLS handshake started
  /// later.
  void unread(std::string_view bytes);

  /// Server side of a handshake. `fallback_name` (folded) is used when the client sends no SNI;
  /// empty: such a handshake fails. `store` must outlive the handshake.
  void start_server(const ServerContext& context, LeafStore& store, std::string fallback_name);
  /// Client side. `host` is the name to verify and to send as SNI, or the text of an address
  /// (`is_address`: verified against IP SANs, no SNI). `sessions` gets the peer's tickets and gave
  /// `resume`, which may be null (ownership stays).
  Result<void> start_client(const UpstreamContext& context,
                            const std::string& host,
                            bool is_address,
                            SSL_SESSION* resume,
                            std::weak_ptr<SessionStore> sessions);
  /// Client side, before the handshake: asks for HTTP/1.1 by ALPN (RFC 7301).
  void offer_http1();
  /// The TLS that is there was with a parent proxy, and a tunnel begins: what is started next runs
  /// inside of it. Nothing of the tunnel may have been read.
  void nest();
  IoResult handshake();
  void set_leaf(std::shared_ptr<const Leaf> leaf) { leaf_ = std::move(leaf); }
  /// No leaf can be had: the next step ends the handshake with internal_error, and
  /// handshake_error() gives `why`.
  void refuse_leaf(std::string why) { hello_fault_ = std::move(why); }
  /// Server: the folded name the leaf is for. Client: the host.
  const std::string& server_name() const { return server_name_; }
  /// SNI as the client sent it; empty if there was none.
  const std::string& sni() const { return sni_; }
  /// Why a handshake failed; for the log.
  std::string handshake_error() const;
  /// The fatal alert by which the peer ended this stream (RFC 8446 section 6.2), in the handshake
  /// or later.
  std::optional<int> alert() const { return alert_; }
  /// Server, when the client has broken off or was waited for in vain: what it said of our
  /// certificate, that is, the name of its alert, or `none`. Nothing if the certificate had not
  /// been sent, if the client's Finished had come (unless its alert is about certificates; some
  /// clients look at ours only then), and if it was this side that found a fault.
  std::optional<std::string> objection() const;

  /// A failure is final: every later read fails too, although the kernel reports a reset only once.
  IoResult read(std::span<char> into);
  IoResult write(std::span<const char> bytes);
  /// The last read() or handshake() looked at the descriptor, and took all that was there.
  bool drained() const { return drained_; }
  /// Bytes may be there that waiting on the descriptor would not announce.
  bool has_pending() const;
  /// close_notify, or the end of our side of a plain connection. Best effort, does not wait.
  void end_writing();
  /// end_writing(), and the end of the connection's own side behind it. want_write: not all of that
  /// has left; call again when the descriptor is writable.
  Io finish_writing();
  /// Throws away what the peer has sent, as it is on the wire: nothing is decrypted or copied.
  /// After finish_writing() only.
  IoResult discard();
  /// The peer's system has everything that was written.
  bool all_acknowledged() const;
  /// The close that follows becomes a reset: what was sent so far must not look complete.
  void reset_on_close();
  /// The close that follows sends no close_notify: the peer must see that something is missing.
  void abandon() { broken_ = true; }
  bool abandoned() const { return broken_; }
  /// Gives OpenSSL's record buffers back while the connection idles.
  void free_buffers();
  /// Large transfers: records are read up to 64 KiB at a time, and their plaintext is not wiped one
  /// by one (each overwrites the last; turning bulk off wipes the buffer). False when OpenSSL holds
  /// bytes just now: try again later.
  bool set_bulk(bool on);

 private:
  friend struct StreamBio;
  std::ptrdiff_t receive(char* into, std::size_t size);
  std::ptrdiff_t receive_nested(char* into, std::size_t size);
  std::ptrdiff_t send_nested(const char* bytes, std::size_t size);
  std::ptrdiff_t nested_failure();
  friend class ServerContext;
  friend class UpstreamContext;
  IoResult outcome(int result);
  void note_fault();
  bool ended_inside_record() const;
  IoResult read_tls(std::span<char> into);
  IoResult read_plain(std::span<char> into);
  void attach_bio();

  int descriptor_ = -1;
  SSL* ssl_ = nullptr;
  SSL* outer_ = nullptr;  ///< carries the records of `ssl_`
  LeafStore* store_ = nullptr;
  std::shared_ptr<const Leaf> leaf_;
  std::weak_ptr<SessionStore> sessions_;
  std::string server_name_, sni_;
  std::string surplus_;
  std::size_t surplus_used_ = 0;
  std::string hello_fault_;
  std::optional<int> alert_;
  bool client_side_ = false;
  bool certificate_made_ = false, certificate_sent_ = false;  ///< server; to this client
  bool peer_at_fault_ = false;                                ///< what it sent was refused here
  bool broken_ = false;
  bool more_follows_ = false;  ///< in the write that is under way
  bool read_failed_ = false;
  bool drained_ = false;
};

}  // namespace iron::tls
