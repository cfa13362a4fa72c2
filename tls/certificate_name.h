#pragma once

#include <openssl/x509.h>

#include <string_view>

namespace iron::tls {

/// Whether one of the wildcards among the certificate's DNS names covers `host` although OpenSSL
/// says that it does not, because a label of `host` holds a `_`. No such label is a host name
/// (RFC 1123 section 2.1), but origins have them, and other libraries take them. All else is as in
/// OpenSSL: the wildcard is the whole left-most label, covers one label, and has two labels behind
/// it (RFC 6125 section 6.4.3). Asks nothing about names without `_`. Never throws.
bool wildcard_covers_underscore(const X509* certificate, std::string_view host) noexcept;

}  // namespace iron::tls
