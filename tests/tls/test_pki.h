#pragma once

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tls/leaf.h"
#include "tls/ssl_ptr.h"

namespace iron::tls::test {

/// A directory that goes with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  /// Writes a file and returns its path.
  std::string write(const std::string& name, const std::string& text) const;

 private:
  std::string path_;
};

std::string read_file(const std::string& path);

enum class KeyKind {
  rsa,
  rsa_pss,
  p256,
  p384,
  p521,
  p224,
  secp256k1,
  ed25519,
  ed448,
  x25519,
  sm2,
};
/// One key per kind and process: making RSA keys is slow.
EVP_PKEY* key_of(KeyKind kind);

/// What a certificate for tests looks like. The defaults are those of a good CA.
struct CertificateSpec {
  std::string common_name = "Test CA";
  KeyKind key = KeyKind::p256;
  std::string basic_constraints = "critical,CA:TRUE";      ///< empty: no such extension
  std::string key_usage = "critical,keyCertSign,cRLSign";  ///< empty: no such extension
  std::string extended_key_usage, subject_alternative_name;
  bool subject_key_identifier = true;
  std::int64_t not_before = 0, not_after = 0;  ///< 0: yesterday, and in ten years
};

/// Self-signed, or signed by `issuer` with the key of `issuer_key`.
CertificatePtr make_certificate(const CertificateSpec& spec,
                                X509* issuer = nullptr,
                                KeyKind issuer_key = KeyKind::p256);

std::string pem(X509* certificate);
enum class KeyForm { pkcs8, traditional };
std::string pem(EVP_PKEY* key, KeyForm form = KeyForm::pkcs8);

/// The pair as files, and options that name them.
LeafOptions write_pair(const TemporaryDirectory& directory, X509* certificate, KeyKind key);

/// What a server with this leaf would send, leaf first. Empty if the leaf cannot be used.
std::vector<CertificatePtr> presented_by(const Leaf& leaf);

/// Verifies `chain` (leaf first) against `root` with strict checks; the X509_V_ code.
int verify(const std::vector<CertificatePtr>& chain,
           X509* root,
           const std::string& host,
           std::int64_t now = 0);

/// `Basic Constraints critical` and so on, in the order of the certificate.
std::vector<std::string> extension_names(const X509* certificate);
/// The printed value of an extension, lines joined; nothing if it is not there.
std::optional<std::string> extension_text(const X509* certificate, int nid);

/// Asks the store and waits for the answer.
Result<LeafStore::LeafPtr> request_and_wait(LeafStore& store, const std::string& name);

}  // namespace iron::tls::test
