#pragma once

#include <openssl/ssl.h>

#include <string_view>

namespace iron::tls {

/// What of a ClientHello is read before OpenSSL reads the rest. To be called within the callback of
/// SSL_CTX_set_client_hello_cb only.
struct HelloExtensions {
  std::string_view server_name;  ///< as sent, into OpenSSL's memory; empty if there was none
  /// An extension does not have the form of its RFC. OpenSSL finds most of that itself, but steps
  /// over extensions that it has no use for, and takes a malformed supported_versions for an old
  /// version.
  bool malformed = false;
};
HelloExtensions read_hello_extensions(SSL* ssl);

}  // namespace iron::tls
