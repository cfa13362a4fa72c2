// The only file that calls what OpenSSL 3 deprecates. X509_set_pubkey runs the encoder framework
// for a provider key: 210 µs of a 260 µs leaf. With an EC_KEY behind the same call it takes 5 µs,
// and a whole leaf about 50 µs (OpenSSL 3.0, P-256 issuer). No arithmetic is done on the legacy
// object: signing uses the provider's key.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "tls/leaf_key.h"

#include <openssl/crypto.h>
#include <openssl/ec.h>

#include "tls/error_text.h"

namespace iron::tls {
namespace {

KeyPtr legacy_public_key(EVP_PKEY* key) {
  unsigned char* point = nullptr;
  const std::size_t size = EVP_PKEY_get1_encoded_public_key(key, &point);
  const SslMemory<unsigned char> owner(point);
  SslPtr<EC_KEY, EC_KEY_free> curve_key(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  KeyPtr result(EVP_PKEY_new());
  if (size == 0 || !curve_key || !result ||
      EC_KEY_oct2key(curve_key.get(), point, size, nullptr) != 1 ||
      EVP_PKEY_assign_EC_KEY(result.get(), curve_key.get()) != 1) {
    return nullptr;
  }
  static_cast<void>(curve_key.release());  // belongs to the result now
  return result;
}

}  // namespace

Result<LeafKey> make_leaf_key() {
  LeafKey key;
  key.signing.reset(EVP_EC_gen("P-256"));
  if (key.signing) key.certificate = legacy_public_key(key.signing.get());
  if (!key.certificate) return fail("making leaf key: " + take_openssl_error());
  return key;
}

}  // namespace iron::tls
