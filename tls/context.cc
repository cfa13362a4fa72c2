#include "tls/context.h"

#include <openssl/err.h>
#include <openssl/rand.h>

#include <stdexcept>
#include <string_view>
#include <utility>

#include "policy/match/host.h"
#include "tls/hello_extensions.h"
#include "tls/stream.h"
#include "tls/upstream_library.h"

namespace iron::tls {
namespace {

constexpr std::size_t kSessionsKept = 4;
constexpr std::uint64_t kCommonOptions =
    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
    SSL_OP_IGNORE_UNEXPECTED_EOF;  // many servers end a close-delimited answer without close_notify
constexpr const char* kTls13Suites =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

SSL_CTX* make_context(OSSL_LIB_CTX* library, const SSL_METHOD* method) {
  SSL_CTX* context = SSL_CTX_new_ex(library, nullptr, method);
  if (context == nullptr) throw std::runtime_error("TLS cannot be set up: SSL_CTX_new failed");
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_ciphersuites(context, kTls13Suites);
  SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384:P-521");
  SSL_CTX_set_options(context, kCommonOptions);
  // No SSL_MODE_RELEASE_BUFFERS: a busy connection keeps its record buffers, and
  // Stream::free_buffers gives them back when it idles. Releasing after each record costs two
  // allocations per request and, with CLEANSE_PLAINTEXT, a wipe of the whole buffer: 41 k of 117 k
  // instructions per request.
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  return context;
}

/// Selects `http/1.1` if offered, else goes on without ALPN (RFC 7301 lets a server decline).
int select_alpn(SSL*,
                const unsigned char** out,
                unsigned char* out_size,
                const unsigned char* offered,
                unsigned int size,
                void*) {
  static constexpr unsigned char kHttp11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* selected = nullptr;
  const int result =
      SSL_select_next_proto(&selected, out_size, kHttp11, sizeof kHttp11, offered, size);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

ServerContext::ServerContext() : context_(make_context(nullptr, TLS_server_method())) {
  SSL_CTX_set_cipher_list(context_,
                          "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                          "ECDHE-ECDSA-CHACHA20-POLY1305");
  SSL_CTX_set_alpn_select_cb(context_, select_alpn, nullptr);
  SSL_CTX_set_client_hello_cb(context_, on_client_hello, nullptr);
  SSL_CTX_set_cert_cb(context_, on_certificate, nullptr);
  SSL_CTX_set_info_callback(context_, on_progress);
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context_, 1);
  unsigned char keys[80];
  if (RAND_bytes(keys, sizeof keys) != 1 ||
      SSL_CTX_set_tlsext_ticket_keys(context_, keys, sizeof keys) != 1) {
    throw std::runtime_error("TLS cannot be set up: no ticket keys");
  }
  OPENSSL_cleanse(keys, sizeof keys);
}

ServerContext::~ServerContext() { SSL_CTX_free(context_); }

/// What is thrown must not pass through OpenSSL.
int ServerContext::on_client_hello(SSL* ssl, int* alert, void*) {
  try {
    return judge_client_hello(ssl, alert);
  } catch (const std::bad_alloc&) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
}

int ServerContext::judge_client_hello(SSL* ssl, int* alert) {
  auto& stream = *static_cast<Stream*>(SSL_get_app_data(ssl));
  if (!stream.hello_fault_.empty()) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  if (!stream.leaf_) {
    const HelloExtensions hello = read_hello_extensions(ssl);
    if (hello.malformed) {
      stream.hello_fault_ = "tls: malformed extension";
      *alert = SSL_AD_DECODE_ERROR;
      return SSL_CLIENT_HELLO_ERROR;
    }
    if (!hello.server_name.empty()) {
      stream.sni_ = hello.server_name;
      stream.server_name_ = policy::fold_host(hello.server_name);
      if (!acceptable_server_name(stream.server_name_)) {
        stream.hello_fault_ = "tls: server name is not acceptable";
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_CLIENT_HELLO_ERROR;
      }
    } else if (stream.server_name_.empty()) {
      return SSL_CLIENT_HELLO_SUCCESS;  // on_certificate() refuses it once all of it was read
    }
    stream.leaf_ = stream.store_->find(stream.server_name_);
    if (!stream.leaf_) stream.leaf_ = stream.store_->mint_at_once(stream.server_name_);
    if (!stream.leaf_) return SSL_CLIENT_HELLO_RETRY;
  }
  // The context id keeps a ticket made for one name from resuming under another.
  if (!stream.leaf_->use_on(ssl) ||
      SSL_set_session_id_context(ssl, stream.leaf_->session_context(), 32) != 1) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

/// The hello is good as far as OpenSSL reads it.
int ServerContext::on_certificate(SSL* ssl, void*) {
  auto& stream = *static_cast<Stream*>(SSL_get_app_data(ssl));
  if (stream.leaf_) return 1;
  stream.hello_fault_ = "no SNI provided";  // short enough to need no memory
  return 0;
}

void ServerContext::on_progress(const SSL* ssl, int where, int) {
  if (where != SSL_CB_ACCEPT_LOOP || SSL_get_state(ssl) != TLS_ST_SW_CERT) return;
  static_cast<Stream*>(SSL_get_app_data(ssl))->certificate_made_ = true;
}

SessionStore::~SessionStore() {
  for (SSL_SESSION* session : sessions_) SSL_SESSION_free(session);
}

void SessionStore::put(SSL_SESSION* session) {
  if (sessions_.size() >= kSessionsKept) {
    SSL_SESSION_free(sessions_.front());
    sessions_.erase(sessions_.begin());
  }
  sessions_.push_back(session);
}

SSL_SESSION* SessionStore::take() {
  if (sessions_.empty()) return nullptr;
  SSL_SESSION* session = sessions_.back();
  sessions_.pop_back();
  return session;
}

UpstreamContext::UpstreamContext(TrustStorePtr trust)
    : context_(make_context(upstream_library(), TLS_client_method())) {
  SSL_CTX_set_cert_store(context_, trust.release());
  SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
  // Origins from before RFC 5746 are served: this side never renegotiates (docs/security.md, "TLS
  // to origins").
  SSL_CTX_set_options(context_, SSL_OP_LEGACY_SERVER_CONNECT);
  // An origin that echoes a key would leave it in OpenSSL's read buffer.
  SSL_CTX_set_options(context_, SSL_OP_CLEANSE_PLAINTEXT);
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context_, on_new_session);
}

UpstreamContext::~UpstreamContext() { SSL_CTX_free(context_); }

int UpstreamContext::on_new_session(SSL* ssl, SSL_SESSION* session) {
  auto& stream = *static_cast<Stream*>(SSL_get_app_data(ssl));
  if (stream.ssl() != ssl) return 0;  // of the parent proxy that a tunnel goes through
  const auto sessions = stream.sessions_.lock();
  if (!sessions || SSL_SESSION_is_resumable(session) != 1) return 0;
  try {
    sessions->put(session);
  } catch (const std::bad_alloc&) {
    return 0;
  }
  return 1;
}

}  // namespace iron::tls
