#pragma once

#include <openssl/x509.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "tls/ssl_ptr.h"

namespace iron::tls {

/// The pair that `tls.ca_cert` and `tls.ca_key` name. Immutable once loaded; may be read by any
/// thread.
struct CertificateAuthority {
  CertificatePtr certificate;
  KeyPtr key;
  std::int64_t not_before = 0, not_after = 0;  ///< seconds since 1970
  /// RSA, and neither path length nor extended key usage forbid an intermediate below it.
  bool intermediate_pays = false;
};

/// A file of the pair that is not there; the text is that of any other fault.
struct MissingFile : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Reads and checks the pair. Throws MissingFile if a file is missing, else std::runtime_error with
/// the texts of docs/tls.md, "Loading the CA". What was read from the key file is wiped before this
/// returns.
CertificateAuthority load_certificate_authority(const std::string& certificate_path,
                                                const std::string& key_path);

/// Seconds since 1970, or the fallback if `time` cannot be read.
std::int64_t seconds_since_epoch(const ASN1_TIME* time, std::int64_t fallback);

}  // namespace iron::tls
