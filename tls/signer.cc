#include "tls/signer.h"

#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "tls/error_text.h"
#include "tls/extensions.h"

namespace iron::tls {
namespace {

constexpr std::int64_t kHour = 3600;
constexpr std::int64_t kIntermediateLife = 30 * 24 * kHour;

CertificatePtr shared(X509* certificate) {
  X509_up_ref(certificate);
  return CertificatePtr(certificate);
}

KeyPtr shared(EVP_PKEY* key) {
  EVP_PKEY_up_ref(key);
  return KeyPtr(key);
}

bool push(STACK_OF(X509) * chain, X509* certificate) {
  if (sk_X509_push(chain, certificate) <= 0) return false;
  X509_up_ref(certificate);
  // Fills the lazily read fields now, on this thread, and not during a handshake.
  X509_check_purpose(certificate, -1, 0);
  return true;
}

/// Some verifiers cache intermediates by name: a new key needs a new name.
bool set_new_name(X509* certificate) {
  std::array<unsigned char, 8> tag{};
  if (RAND_bytes(tag.data(), static_cast<int>(tag.size())) != 1) return false;
  std::string name = "iron-proxy leaf signer ";
  for (const unsigned char byte : tag) {
    name += "0123456789abcdef"[byte >> 4];
    name += "0123456789abcdef"[byte & 15];
  }
  return set_common_name(X509_get_subject_name(certificate), name);
}

CertificatePtr make_intermediate(const CertificateAuthority& authority,
                                 EVP_PKEY* key,
                                 std::int64_t not_before,
                                 std::int64_t not_after) {
  CertificatePtr certificate(X509_new());
  X509* made = certificate.get();
  X509* issuer = authority.certificate.get();
  if (made == nullptr || X509_set_version(made, X509_VERSION_3) != 1 || !set_random_serial(made) ||
      X509_set_issuer_name(made, X509_get_subject_name(issuer)) != 1 || !set_new_name(made) ||
      !set_validity(made, not_before, not_after) || X509_set_pubkey(made, key) != 1 ||
      !add_extension(made, basic_constraints_last_ca()) ||
      !add_extension(made, key_usage_certificate_sign()) ||
      !add_extension(made, subject_key_identifier(made))) {
    return nullptr;
  }
  if (X509_get0_subject_key_id(issuer) != nullptr &&
      !add_extension(made, authority_key_identifier(issuer))) {
    return nullptr;
  }
  if (X509_sign(made, authority.key.get(), signature_digest(authority.key.get())) <= 0)
    return nullptr;
  return certificate;
}

}  // namespace

bool Signer::prepare(X509* authority_certificate) {
  key_usage_ = key_usage_digital_signature();
  extended_key_usage_ = extended_key_usage_server_auth();
  chain_.reset(sk_X509_new_null());
  if (!key_usage_ || !extended_key_usage_ || !chain_) return false;
  if (!push(chain_.get(), certificate_.get())) return false;
  if (authority_certificate != certificate_.get() && !push(chain_.get(), authority_certificate)) {
    return false;
  }
  authority_key_identifier_ = tls::authority_key_identifier(certificate_.get());
  return authority_key_identifier_ != nullptr ||
         X509_get0_subject_key_id(certificate_.get()) == nullptr;
}

Result<Signer::Pointer> Signer::authority(const CertificateAuthority& authority) {
  const std::shared_ptr<Signer> signer(new Signer);
  signer->certificate_ = shared(authority.certificate.get());
  signer->key_ = shared(authority.key.get());
  signer->not_before_ = authority.not_before;
  signer->not_after_ = authority.not_after;
  signer->usable_from_ = std::numeric_limits<std::int64_t>::min();
  signer->usable_until_ = std::numeric_limits<std::int64_t>::max();
  if (!signer->prepare(authority.certificate.get())) {
    return fail("preparing CA: " + take_openssl_error());
  }
  return Pointer(signer);
}

Result<Signer::Pointer> Signer::intermediate(const CertificateAuthority& authority,
                                             std::int64_t now) {
  const std::shared_ptr<Signer> signer(new Signer);
  signer->not_before_ = std::max(authority.not_before, now - kBackdated);
  signer->not_after_ = std::min(authority.not_after, now + kIntermediateLife);
  signer->usable_from_ = std::min(signer->not_before_, now);
  signer->usable_until_ = now + (signer->not_after_ - now) / 2;
  signer->key_.reset(EVP_EC_gen("P-256"));
  if (signer->key_) {
    signer->certificate_ =
        make_intermediate(authority, signer->key_.get(), signer->not_before_, signer->not_after_);
  }
  if (!signer->certificate_ || !signer->prepare(authority.certificate.get())) {
    return fail("making intermediate: " + take_openssl_error());
  }
  return Pointer(signer);
}

}  // namespace iron::tls
