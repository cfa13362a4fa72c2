#pragma once

#include <openssl/ssl.h>

#include <string>
#include <unordered_map>

namespace iron::bench {

/// Certificates of the bare relay: signed by its CA, one P-256 key for all of them, kept for good.
class Leaves {
 public:
  /// Ends the program where a file cannot be read.
  Leaves(const std::string& ca_file, const std::string& key_file);
  ~Leaves();
  Leaves(const Leaves&) = delete;
  Leaves& operator=(const Leaves&) = delete;

  /// Gives this connection the certificate of the name its client asks for; 0 without such a name.
  int use_for(SSL* tls);

 private:
  X509* find_or_make(const std::string& host);

  X509* ca_ = nullptr;
  EVP_PKEY *ca_key_ = nullptr, *key_ = nullptr;
  STACK_OF(X509) * chain_ = nullptr;
  std::unordered_map<std::string, X509*> leaves_;
  std::uint64_t serial_;
};

}  // namespace iron::bench
