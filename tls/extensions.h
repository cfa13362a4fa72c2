#pragma once

#include <openssl/x509.h>

#include <string>

#include "tls/ssl_ptr.h"

namespace iron::tls {

enum class Critical { no, yes };

/// The certificate extensions this program writes; null if OpenSSL refuses.
ExtensionPtr key_usage_digital_signature();
ExtensionPtr key_usage_certificate_sign();
ExtensionPtr key_usage_certificate_and_crl_sign();
ExtensionPtr extended_key_usage_server_auth();
/// CA:TRUE, pathlen:0.
ExtensionPtr basic_constraints_last_ca();
/// The first 20 bytes of SHA-256 over the public key's bits (RFC 7093, method 1).
ExtensionPtr subject_key_identifier(const X509* subject);
/// The issuer's subject key identifier; null also if it has none.
ExtensionPtr authority_key_identifier(const X509* issuer);
/// One DNS name, or one address if `name` is the text of one.
ExtensionPtr subject_alternative_name(const std::string& name, Critical critical);

/// Appends a copy. False for null.
bool add_extension(X509* certificate, const ExtensionPtr& extension);

/// `CN=<name>` of any length (OpenSSL's own setter stops at 64 characters).
bool set_common_name(X509_NAME* subject, const std::string& name);

/// A random serial number of 127 bits, never zero, always 16 octets.
bool set_random_serial(X509* certificate);

/// notBefore and notAfter in seconds since 1970. False outside the years 0 to 9999.
bool set_validity(X509* certificate, std::int64_t not_before, std::int64_t not_after);

/// The digest that goes with a signing key; null for Ed25519, which brings its own.
const EVP_MD* signature_digest(const EVP_PKEY* key);

}  // namespace iron::tls
