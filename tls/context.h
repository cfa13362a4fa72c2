#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "tls/leaf.h"
#include "tls/trust.h"

namespace iron::tls {

class Stream;

/// Settings of the client's side: TLS 1.2 (AEAD suites) and 1.3, ALPN `http/1.1`, tickets under
/// keys of this object (RFC 8446 section 4.6.1). Immutable, shared by workers; a new one is made
/// when the CA changes, which ends old tickets.
class ServerContext {
 public:
  ServerContext();
  ~ServerContext();
  ServerContext(const ServerContext&) = delete;
  SSL_CTX* get() const { return context_; }

 private:
  static int on_client_hello(SSL* ssl, int* alert, void*);
  static int judge_client_hello(SSL* ssl, int* alert);
  static int on_certificate(SSL* ssl, void*);
  static void on_progress(const SSL* ssl, int where, int);
  SSL_CTX* context_;
};

/// Sessions an upstream offered, for one pool key of one worker. Each is used once (RFC 8446
/// appendix C.4).
class SessionStore {
 public:
  ~SessionStore();
  void put(SSL_SESSION* session);  ///< takes ownership; keeps the newest four
  /// The newest session, now owned by the caller, or null.
  SSL_SESSION* take();

 private:
  std::vector<SSL_SESSION*> sessions_;
};

/// Settings of the upstream side: TLS 1.2 or later, peer verified against the trust store, no ALPN.
/// Shared by workers.
class UpstreamContext {
 public:
  explicit UpstreamContext(TrustStorePtr trust);
  ~UpstreamContext();
  UpstreamContext(const UpstreamContext&) = delete;
  SSL_CTX* get() const { return context_; }

 private:
  static int on_new_session(SSL* ssl, SSL_SESSION* session);
  SSL_CTX* context_;
};

}  // namespace iron::tls
