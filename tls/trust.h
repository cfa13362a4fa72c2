#pragma once

#include <openssl/ssl.h>

#include <string>
#include <string_view>
#include <vector>

#include "tls/ssl_ptr.h"

namespace iron::tls {

using TrustStorePtr = SslPtr<X509_STORE, X509_STORE_free>;

/// The upstream trust store by SSL_CERT_FILE, SSL_CERT_DIR and the system's places (docs/tls.md,
/// "Upstream trust"). Unreadable files are skipped. Pure and thread safe; takes about 30 ms, so
/// callers load it in the background. The store comes with a verification callback,
/// review_verification(): do not replace it through SSL_CTX_set_verify. Throws std::bad_alloc
/// rather than leave out a certificate for want of memory.
TrustStorePtr load_trust_store();

/// The same kind of store with the certificates of a PEM text, and of `beside` if that is not null.
/// Null if the text holds none.
TrustStorePtr make_trust_store(std::string_view pem, X509_STORE* beside);

/// Every file and directory that load_trust_store() looks at, and where links in those directories
/// lead on common systems; for a process that is about to restrict itself to such paths.
std::vector<std::string> trust_paths();

/// Text for the record when an upstream handshake failed: `tls: failed to verify certificate: x509:
/// …`, `remote error: tls: …`, `tls: first record does not look like a TLS handshake`, `EOF`. Reads
/// the verification result of `ssl` and the OpenSSL error queue, which it empties. `host` is the
/// name that was asked for.
std::string handshake_error_text(SSL* ssl, const std::string& host);
/// The same for the client's side of a handshake (`tls handshake error`, `tunnel connect error`).
std::string server_handshake_error_text(SSL* ssl);

}  // namespace iron::tls
