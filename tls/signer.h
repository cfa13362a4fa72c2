#pragma once

#include <openssl/x509.h>

#include <cstdint>
#include <memory>

#include "policy/result.h"
#include "tls/certificate_authority.h"
#include "tls/ssl_ptr.h"

namespace iron::tls {

/// Sandboxes with a slow or restored clock reject a certificate that is not valid yet, so what is
/// made here begins this many seconds in the past, as far as its issuer allows.
inline constexpr std::int64_t kBackdated = 24 * 3600;

/// What signs leaves: the CA itself, or a short-lived P-256 intermediate below it. Immutable,
/// shared by threads.
class Signer {
 public:
  using Pointer = std::shared_ptr<const Signer>;

  /// The CA signs. Its objects are shared with `authority`.
  static Result<Pointer> authority(const CertificateAuthority& authority);
  /// A new key and certificate below the CA. Costs one signature of the CA (4.7 ms for RSA-4096).
  static Result<Pointer> intermediate(const CertificateAuthority& authority, std::int64_t now);

  X509* certificate() const { return certificate_.get(); }
  EVP_PKEY* key() const { return key_.get(); }
  /// What a server sends behind the leaf, leaf's issuer first.
  STACK_OF(X509) * chain() const { return chain_.get(); }
  /// The leaf's extensions that are the same for each name; the last one may be null.
  const ExtensionPtr& key_usage() const { return key_usage_; }
  const ExtensionPtr& extended_key_usage() const { return extended_key_usage_; }
  const ExtensionPtr& authority_key_identifier() const { return authority_key_identifier_; }
  /// No leaf may begin earlier or live longer than this.
  std::int64_t not_before() const { return not_before_; }
  std::int64_t not_after() const { return not_after_; }
  /// Whether this may sign a leaf at `now`; an intermediate is to be replaced from half of its life
  /// on, and when the clock has left its validity.
  bool usable_at(std::int64_t now) const { return usable_from_ <= now && now < usable_until_; }

 private:
  struct FreeChain {
    void operator()(STACK_OF(X509) * chain) const { sk_X509_pop_free(chain, X509_free); }
  };
  Signer() = default;
  bool prepare(X509* authority_certificate);

  CertificatePtr certificate_;
  KeyPtr key_;
  std::unique_ptr<STACK_OF(X509), FreeChain> chain_;
  ExtensionPtr key_usage_, extended_key_usage_, authority_key_identifier_;
  std::int64_t not_before_ = 0, not_after_ = 0, usable_from_ = 0, usable_until_ = 0;
};

}  // namespace iron::tls
