#pragma once

#include <string>

namespace iron::tls {

/// The oldest reason in this thread's OpenSSL error queue (`unsupported algorithm`), which is
/// emptied.
std::string take_openssl_error();

/// Name of a TLS alert as records have it, without the `tls: `: `bad certificate`, `alert(200)`.
std::string alert_text(int alert);

/// An alert of the peer as records have it: `remote error: tls: bad certificate`.
std::string remote_alert_text(int alert);

/// Whether an alert can only be meant for the certificate of the other side (RFC 8446 section 6.2).
bool is_about_certificates(int alert);

}  // namespace iron::tls
