#include "tls/error_text.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <cstdio>
#include <ctime>

#include "policy/errno_text.h"
#include "tls/rejected_certificate.h"
#include "tls/trust.h"

namespace iron::tls {
namespace {

constexpr const char* kNotTls = "tls: first record does not look like a TLS handshake";

struct AlertName {
  int number;
  const char* text;
};

/// RFC 8446 appendix B.2 and RFC 5246 appendix A.3, in the words of existing records.
constexpr AlertName kAlerts[] = {
    {0, "close notify"},
    {10, "unexpected message"},
    {20, "bad record MAC"},
    {21, "decryption failed"},
    {22, "record overflow"},
    {30, "decompression failure"},
    {40, "handshake failure"},
    {42, "bad certificate"},
    {43, "unsupported certificate"},
    {44, "revoked certificate"},
    {45, "expired certificate"},
    {46, "unknown certificate"},
    {47, "illegal parameter"},
    {48, "unknown certificate authority"},
    {49, "access denied"},
    {50, "error decoding message"},
    {51, "error decrypting message"},
    {60, "export restriction"},
    {70, "protocol version not supported"},
    {71, "insufficient security level"},
    {80, "internal error"},
    {86, "inappropriate fallback"},
    {90, "user canceled"},
    {100, "no renegotiation"},
    {109, "missing extension"},
    {110, "unsupported extension"},
    {111, "certificate unobtainable"},
    {112, "unrecognized name"},
    {113, "bad certificate status response"},
    {114, "bad certificate hash value"},
    {115, "unknown PSK identity"},
    {116, "certificate required"},
    {120, "no application protocol"},
    {121, "encrypted client hello required"},
};

/// The oldest entry of this thread's queue, which is emptied; 0 if there was none.
unsigned long take_code() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  return code;
}

bool tells_of_certificate(unsigned long code) {
  return ERR_GET_LIB(code) == ERR_LIB_SSL &&
         ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED;
}

/// As take_code(), but a certificate that was refused goes before what OpenSSL noted of others in
/// the chain, such as keys that it cannot read: an origin could hide the reason behind one.
unsigned long take_client_code() {
  const unsigned long oldest = ERR_get_error();
  unsigned long code = oldest;
  while (code != 0 && !tells_of_certificate(code)) code = ERR_get_error();
  ERR_clear_error();
  return code != 0 ? code : oldest;
}

std::string reason_text(unsigned long code) {
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown error";
}

std::string hexadecimal(unsigned number) {
  char text[16];
  std::snprintf(text, sizeof text, "%x", number);
  return text;
}

/// What a client that knows nothing newer than its hello's version could speak.
std::string versions_up_to(int version) {
  std::string text;
  for (int offered : {TLS1_1_VERSION, TLS1_VERSION}) {
    if (offered > version) continue;
    text += (text.empty() ? "" : " ") + hexadecimal(static_cast<unsigned>(offered));
  }
  return "[" + text + "]";
}

/// The suites of the hello as they came, signalling values included.
std::string offered_suites(SSL* ssl) {
  std::string text;
  unsigned char* bytes = nullptr;
  const auto size = static_cast<std::size_t>(SSL_get0_raw_cipherlist(ssl, &bytes));
  for (std::size_t i = 0; bytes != nullptr && i + 1 < size; i += 2) {
    text += (text.empty() ? "" : " ") + hexadecimal(unsigned{bytes[i]} << 8 | bytes[i + 1]);
  }
  return "[" + text + "]";
}

/// Texts that do not depend on which side this is; empty if `code` is none of them.
std::string common_text(unsigned long code) {
  if (code == 0) {
    return errno == ECONNRESET || errno == ETIMEDOUT ? "read: " + policy::errno_text(errno) : "EOF";
  }
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) return "";
  const int reason = ERR_GET_REASON(code);
  if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
    return remote_alert_text(reason - SSL_AD_REASON_OFFSET);
  }
  switch (reason) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return "EOF";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_RECORD_LENGTH_MISMATCH:
      return kNotTls;
    default:
      return "";
  }
}

}  // namespace

std::string take_openssl_error() { return reason_text(take_code()); }

std::string alert_text(int alert) {
  for (const AlertName& known : kAlerts) {
    if (known.number == alert) return known.text;
  }
  return "alert(" + std::to_string(alert) + ")";
}

std::string remote_alert_text(int alert) { return "remote error: tls: " + alert_text(alert); }

bool is_about_certificates(int alert) {
  switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
      return true;
    default:
      return false;
  }
}

std::string handshake_error_text(SSL* ssl, const std::string& host) {
  const unsigned long code = take_client_code();
  std::string text = common_text(code);
  if (!text.empty()) return text;
  if (tells_of_certificate(code)) {
    return "tls: failed to verify certificate: " +
           verification_error_text(SSL_get_verify_result(ssl), rejected_certificate(ssl), host,
                                   std::time(nullptr));
  }
  return "tls: " + reason_text(code);
}

std::string server_handshake_error_text(SSL* ssl) {
  const unsigned long code = take_code();
  std::string text = common_text(code);
  if (!text.empty()) return text;
  if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
    switch (ERR_GET_REASON(code)) {
      case SSL_R_UNSUPPORTED_PROTOCOL:
        return "tls: client offered only unsupported versions: " +
               versions_up_to(SSL_client_version(ssl));
      case SSL_R_NO_SHARED_CIPHER:
        return "tls: no cipher suite supported by both client and server; client offered: " +
               offered_suites(ssl);
      default:
        break;
    }
  }
  return "tls: " + reason_text(code);
}

}  // namespace iron::tls
