#include "tls/upstream_library.h"

#include <openssl/core_dispatch.h>
#include <openssl/decoder.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <new>
#include <string_view>
#include <vector>

#include "tls/ssl_ptr.h"

namespace iron::tls {
namespace {

using LibraryPtr = SslPtr<OSSL_LIB_CTX, OSSL_LIB_CTX_free>;
using ContextPtr = SslPtr<SSL_CTX, SSL_CTX_free>;

/// OpenSSL's default provider, as the default context has it, and which of its decoders are handed
/// on: what belongs to that choice stands here, since the functions of a provider get the context
/// of the one whose functions they are. Set once, before its first reader.
struct Source {
  OSSL_PROVIDER* provider = nullptr;
  std::vector<OSSL_ALGORITHM> decoders;  ///< ends with an empty one
};
Source source;

const OSSL_ALGORITHM* query(void*, int operation, int* may_not_keep) {
  if (operation != OSSL_OP_DECODER)
    return OSSL_PROVIDER_query_operation(source.provider, operation, may_not_keep);
  *may_not_keep = 0;
  return source.decoders.data();
}

/// The groups of TLS come from here.
int capabilities(void*, const char* capability, OSSL_CALLBACK* callback, void* argument) {
  return OSSL_PROVIDER_get_capabilities(source.provider, capability, callback, argument);
}

template <class Function>
OSSL_DISPATCH entry(int id, Function* function) {
  return {id, reinterpret_cast<void (*)()>(function)};
}

int start(const OSSL_CORE_HANDLE*,
          const OSSL_DISPATCH*,
          const OSSL_DISPATCH** out,
          void** context) {
  static const OSSL_DISPATCH kFunctions[] = {
      entry(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
      entry(OSSL_FUNC_PROVIDER_GET_CAPABILITIES, capabilities),
      {0, nullptr}};
  *out = kFunctions;
  *context = OSSL_PROVIDER_get0_provider_ctx(source.provider);
  return 1;
}

/// The keys that a server has in TLS 1.2 and 1.3 (RFC 8446 section 4.2.3), and `DER`, which tells
/// them apart.
bool reads_server_keys(const OSSL_ALGORITHM& decoder) {
  static constexpr std::string_view kKeys[] = {"DER", "RSA", "RSA-PSS", "EC", "ED25519", "ED448"};
  return std::string_view(decoder.property_definition)
             .ends_with("structure=SubjectPublicKeyInfo") &&
         std::ranges::find(kKeys, decoder.algorithm_names) != std::end(kKeys);
}

std::vector<OSSL_ALGORITHM> chosen_decoders(OSSL_PROVIDER* provider) {
  int may_not_keep = 0;
  const OSSL_ALGORITHM* decoder =
      OSSL_PROVIDER_query_operation(provider, OSSL_OP_DECODER, &may_not_keep);
  std::vector<OSSL_ALGORITHM> chosen;
  if (decoder == nullptr || may_not_keep != 0) return chosen;
  for (; decoder->algorithm_names != nullptr; ++decoder) {
    if (reads_server_keys(*decoder)) chosen.push_back(*decoder);
  }
  chosen.emplace_back();
  return chosen;
}

/// Whether there is a provider that is not OpenSSL's default one, or may be.
bool others_configured() {
  bool others = false;
  const auto look = [](OSSL_PROVIDER* provider, void* found) {
    if (std::string_view(OSSL_PROVIDER_get0_name(provider)) != "default")
      *static_cast<bool*>(found) = true;
    return 1;
  };
  return OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, nullptr) != 1 ||
         OSSL_PROVIDER_do_all(nullptr, look, &others) != 1 || others;
}

/// Has OpenSSL make all methods of an operation, which it does once, and counts them.
template <auto DoAll, class Method>
std::size_t count_methods(OSSL_LIB_CTX* library) {
  std::size_t count = 0;
  const auto one = [](Method*, void* so_far) { ++*static_cast<std::size_t*>(so_far); };
  DoAll(library, one, &count);
  return count;
}

struct Operation {
  int number;
  std::size_t (*count)(OSSL_LIB_CTX*);
};
constexpr Operation kOperations[] = {
    {OSSL_OP_DIGEST, count_methods<EVP_MD_do_all_provided, EVP_MD>},
    {OSSL_OP_CIPHER, count_methods<EVP_CIPHER_do_all_provided, EVP_CIPHER>},
    {OSSL_OP_MAC, count_methods<EVP_MAC_do_all_provided, EVP_MAC>},
    {OSSL_OP_KDF, count_methods<EVP_KDF_do_all_provided, EVP_KDF>},
    {OSSL_OP_RAND, count_methods<EVP_RAND_do_all_provided, EVP_RAND>},
    {OSSL_OP_KEYMGMT, count_methods<EVP_KEYMGMT_do_all_provided, EVP_KEYMGMT>},
    {OSSL_OP_KEYEXCH, count_methods<EVP_KEYEXCH_do_all_provided, EVP_KEYEXCH>},
    {OSSL_OP_SIGNATURE, count_methods<EVP_SIGNATURE_do_all_provided, EVP_SIGNATURE>},
    {OSSL_OP_ASYM_CIPHER, count_methods<EVP_ASYM_CIPHER_do_all_provided, EVP_ASYM_CIPHER>},
    {OSSL_OP_DECODER, count_methods<OSSL_DECODER_do_all_provided, OSSL_DECODER>},
};

std::size_t count_offered(int operation) {
  int ignored = 0;
  const OSSL_ALGORITHM* one = query(nullptr, operation, &ignored);
  std::size_t count = 0;
  while (one != nullptr && one->algorithm_names != nullptr) ++count, ++one;
  return count;
}

/// A method or a generator that a library could not make for want of memory it lacks for ever, so
/// all of them are made at once, and one that is not whole is not used.
bool is_whole(OSSL_LIB_CTX* library) {
  unsigned char bytes[1];
  const ContextPtr context(SSL_CTX_new_ex(library, nullptr, TLS_client_method()));
  return context && RAND_bytes_ex(library, bytes, sizeof bytes, 0) == 1 &&
         RAND_priv_bytes_ex(library, bytes, sizeof bytes, 0) == 1 &&
         std::ranges::all_of(kOperations, [library](const Operation& operation) {
           return operation.count(library) == count_offered(operation.number);
         });
}

OSSL_LIB_CTX* make_library() {
  if (others_configured()) return nullptr;
  source.provider = OSSL_PROVIDER_load(nullptr, "default");
  if (source.provider == nullptr) return nullptr;
  source.decoders = chosen_decoders(source.provider);
  constexpr const char* kName = "upstream";
  LibraryPtr library(OSSL_LIB_CTX_new());
  const bool good = library && !source.decoders.empty() &&
                    OSSL_PROVIDER_add_builtin(library.get(), kName, start) == 1 &&
                    OSSL_PROVIDER_load(library.get(), kName) != nullptr && is_whole(library.get());
  return good ? library.release() : nullptr;
}

OSSL_LIB_CTX* library_or_none() {
  try {
    return make_library();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace

OSSL_LIB_CTX* upstream_library() {
  static OSSL_LIB_CTX* const library = library_or_none();
  return library;
}

}  // namespace iron::tls
