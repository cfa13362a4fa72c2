#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <string>

namespace iron::tls {

/// Verification callback (X509_STORE_set_verify_cb). Changes one verdict: a name that only
/// wildcard_covers_underscore() finds in the certificate is no mismatch. Of a failed verification
/// it keeps the peer's certificate, which OpenSSL drops before the handshake's caller sees the
/// failure.
int review_verification(int verdict, X509_STORE_CTX* context);

/// What the callback kept for this connection, or null. Belongs to `ssl`.
X509* rejected_certificate(const SSL* ssl);

/// Why a peer was not accepted: `x509: …`, in the words of existing records. `result` is OpenSSL's
/// X509_V_ code, `leaf` the peer's certificate if it is known, `now` in seconds since 1970.
std::string verification_error_text(long result,
                                    X509* leaf,
                                    const std::string& host,
                                    std::int64_t now);

}  // namespace iron::tls
