#include "tls/leaf.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <limits>

#include "tls/error_text.h"
#include "tls/extensions.h"
#include "tls/leaf_key.h"
#include "tls/signer.h"

namespace iron::tls {
namespace {

constexpr std::size_t kLongestCommonName = 64;  // ub-common-name of RFC 5280
constexpr std::size_t kLongestName = 253;

/// The end of a leaf's life, within what its issuer allows. `life` may be negative, as the option
/// may.
std::int64_t end_of_life(std::int64_t now, std::int64_t life, std::int64_t issuer_ends) {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const std::int64_t wanted = life > most - now ? most : now + life;
  // Near the issuer's end a leaf does not outlive it. While the issuer has more than half a leaf's
  // life left, clients go on seeing the configured validity (docs/tls.md, "Leaves").
  return life / 2 >= issuer_ends - now ? std::min(wanted, issuer_ends) : wanted;
}

bool add_extensions(X509* leaf, const Signer& signer, const std::string& name, Critical critical) {
  if (!add_extension(leaf, signer.key_usage()) ||
      !add_extension(leaf, signer.extended_key_usage())) {
    return false;
  }
  if (signer.authority_key_identifier() &&
      !add_extension(leaf, signer.authority_key_identifier())) {
    return false;
  }
  return add_extension(leaf, subject_alternative_name(name, critical));
}

}  // namespace

Leaf::~Leaf() {
  X509_free(certificate_);
  sk_X509_pop_free(chain_, X509_free);
  EVP_PKEY_free(key_);
}

bool Leaf::use_on(SSL* ssl) const {
  return SSL_use_cert_and_key(ssl, certificate_, key_, chain_, 1) == 1;
}

bool Leaf::fresh_at(std::int64_t now) const {
  return std::min(minted_, not_before_) <= now && now < not_after_ - (not_after_ - minted_) / 10;
}

Result<std::shared_ptr<const Leaf>> Leaf::mint(const Signer& signer,
                                               const LeafKey& key,
                                               const Order& order) {
  const std::shared_ptr<Leaf> leaf(new Leaf);
  leaf->minted_ = order.now;
  // Strict verifiers want it within its issuer's dates.
  leaf->not_before_ = std::max(order.now - kBackdated, signer.not_before());
  leaf->not_after_ = end_of_life(order.now, order.life, signer.not_after());
  leaf->certificate_ = X509_new();
  leaf->chain_ = X509_chain_up_ref(signer.chain());
  EVP_PKEY_up_ref(key.signing.get());
  leaf->key_ = key.signing.get();

  X509* made = leaf->certificate_;
  const bool fits = order.name.size() <= kLongestCommonName;
  if (made == nullptr || leaf->chain_ == nullptr || X509_set_version(made, X509_VERSION_3) != 1 ||
      !set_random_serial(made) ||
      X509_set_issuer_name(made, X509_get_subject_name(signer.certificate())) != 1 ||
      (fits && !set_common_name(X509_get_subject_name(made), order.name)) ||
      !set_validity(made, leaf->not_before_, leaf->not_after_) ||
      X509_set_pubkey(made, key.certificate.get()) != 1 ||
      !add_extensions(made, signer, order.name, fits ? Critical::no : Critical::yes)) {
    return fail("building certificate: " + take_openssl_error());
  }
  if (X509_sign(made, signer.key(), signature_digest(signer.key())) <= 0) {
    return fail("signing certificate: " + take_openssl_error());
  }
  X509_check_purpose(made, -1, 0);  // reads the extensions here rather than on a worker

  const std::string bound = order.identity + '\0' + order.name;
  if (EVP_Digest(bound.data(), bound.size(), leaf->session_context_, nullptr, EVP_sha256(),
                 nullptr) != 1) {
    return fail("binding sessions: " + take_openssl_error());
  }
  return std::shared_ptr<const Leaf>(leaf);
}

bool acceptable_server_name(std::string_view folded) {
  if (folded.empty() || folded.size() > kLongestName) return false;
  return std::all_of(folded.begin(), folded.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

}  // namespace iron::tls
