#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "proxy/exchange/services.h"
#include "tests/tls/test_pki.h"
#include "tls/context.h"
#include "tls/leaf.h"

namespace iron::proxy::test {

/// The CA of a process's rigs: what the proxy signs with, what clients trust, and what signed the
/// certificates of origins, which the proxy trusts. Keys are P-256, so that leaves are minted at
/// once, on the loop.
class RigAuthority {
 public:
  static RigAuthority& get();
  RigAuthority(const RigAuthority&) = delete;
  RigAuthority& operator=(const RigAuthority&) = delete;

  const std::shared_ptr<tls::LeafStore>& leaves() const { return leaves_; }
  const std::shared_ptr<const tls::ServerContext>& server() const { return server_; }
  /// Trusts the CA and nothing else.
  SSL_CTX* client_context() { return client_.get(); }
  /// An origin at 127.0.0.1 or `origin.test`, and one whose certificate somebody else has signed.
  SSL_CTX* origin_context() { return origin_.get(); }
  SSL_CTX* strange_context() { return strange_.get(); }

  /// The first flight of a client that asks for that name.
  std::string client_hello(const std::string& name) const;
  /// Has the proxy's dials trust the CA. Returns when they do.
  void load_trust(Services& services) const;

 private:
  using ContextPtr = tls::SslPtr<SSL_CTX, SSL_CTX_free>;
  RigAuthority();

  tls::test::TemporaryDirectory directory_;
  tls::CertificatePtr ca_;
  std::shared_ptr<tls::LeafStore> leaves_;
  std::shared_ptr<const tls::ServerContext> server_;
  ContextPtr client_, origin_, strange_;
};

}  // namespace iron::proxy::test
