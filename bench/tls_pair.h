#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tls/context.h"
#include "tls/leaf.h"
#include "tls/stream.h"

namespace iron::bench {

/// The key of the measured CA. An RSA CA signs leaves through an intermediate.
enum class CaKey { p256, rsa4096 };

/// Both ends of the proxy's TLS in one process: leaves of a CA that was made for this run, and the
/// contexts that trust it.
class TlsBench {
 public:
  explicit TlsBench(CaKey key);
  ~TlsBench();
  TlsBench(const TlsBench&) = delete;

  /// A leaf for a name that has none yet, through the minting thread.
  void mint();
  /// A leaf that is in the cache.
  void find();

  enum class Resume { no, yes };
  /// Handshake of both ends over a socket pair and one byte to the client, which brings it the next
  /// ticket.
  void handshake(Resume resume);
  /// The last handshake of the client's end was a resumption.
  bool resumed() const { return resumed_; }

 private:
  std::string folder_;
  std::unique_ptr<tls::LeafStore> leaves_;
  std::unique_ptr<tls::ServerContext> server_;
  std::unique_ptr<tls::UpstreamContext> client_;
  std::shared_ptr<tls::SessionStore> sessions_ = std::make_shared<tls::SessionStore>();
  int minted_ = 0;
  bool resumed_ = false;
};

}  // namespace iron::bench
