#include "tls/upstream_library.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "tls/ssl_ptr.h"

namespace iron::tls {
namespace {

using LibraryPtr = SslPtr<OSSL_LIB_CTX, OSSL_LIB_CTX_free>;
using ProviderPtr = SslPtr<OSSL_PROVIDER, OSSL_PROVIDER_unload>;

/// OpenSSL's default provider whole, and which of its decoders are handed on. The library is before
/// its provider, so that it goes after it.
struct Whole {
  LibraryPtr library;
  ProviderPtr provider;
  std::vector<OSSL_ALGORITHM> decoders;  ///< ends with an empty one
};

/// What a provider's functions get is the context of the default provider, whose functions they
/// are; so what belongs to the choice of decoders stands here. Set once, before its first reader.
const Whole* whole = nullptr;

const OSSL_ALGORITHM* query(void*, int operation, int* may_not_keep) {
  if (operation != OSSL_OP_DECODER)
    return OSSL_PROVIDER_query_operation(whole->provider.get(), operation, may_not_keep);
  *may_not_keep = 0;
  return whole->decoders.data();
}

/// The groups of TLS come from here.
int capabilities(void*, const char* capability, OSSL_CALLBACK* callback, void* argument) {
  return OSSL_PROVIDER_get_capabilities(whole->provider.get(), capability, callback, argument);
}

template <class Function>
constexpr OSSL_DISPATCH entry(int id, Function* function) {
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
  *context = OSSL_PROVIDER_get0_provider_ctx(whole->provider.get());
  return 1;
}

[[noreturn]] void refuse() {
  throw std::runtime_error("TLS cannot be set up: no library context for upstreams");
}

/// The keys that a server has in TLS 1.2 and 1.3 (RFC 8446 section 4.2.3), and `DER`, which tells
/// them apart.
bool reads_server_keys(const OSSL_ALGORITHM& decoder) {
  static constexpr std::string_view kKeys[] = {"DER", "RSA", "RSA-PSS", "EC", "ED25519", "ED448"};
  return std::string_view(decoder.property_definition)
             .ends_with("structure=SubjectPublicKeyInfo") &&
         std::ranges::find(kKeys, decoder.algorithm_names) != std::end(kKeys);
}

Whole load_whole() {
  Whole loaded;
  loaded.library.reset(OSSL_LIB_CTX_new());
  if (!loaded.library) refuse();
  loaded.provider.reset(OSSL_PROVIDER_load(loaded.library.get(), "default"));
  if (!loaded.provider) refuse();
  int may_not_keep = 0;
  const OSSL_ALGORITHM* decoder =
      OSSL_PROVIDER_query_operation(loaded.provider.get(), OSSL_OP_DECODER, &may_not_keep);
  if (decoder == nullptr || may_not_keep != 0) refuse();
  for (; decoder->algorithm_names != nullptr; ++decoder) {
    if (reads_server_keys(*decoder)) loaded.decoders.push_back(*decoder);
  }
  loaded.decoders.emplace_back();
  return loaded;
}

/// Whether there is a provider that is not OpenSSL's default one.
bool others_configured() {
  OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, nullptr);
  bool others = false;
  OSSL_PROVIDER_do_all(
      nullptr,
      [](OSSL_PROVIDER* provider, void* found) {
        if (std::string_view(OSSL_PROVIDER_get0_name(provider)) != "default")
          *static_cast<bool*>(found) = true;
        return 1;
      },
      &others);
  return others;
}

OSSL_LIB_CTX* make_library() {
  if (others_configured()) return nullptr;
  if (whole == nullptr) whole = new Whole(load_whole());
  constexpr const char* kName = "upstream";
  LibraryPtr library(OSSL_LIB_CTX_new());
  if (!library || OSSL_PROVIDER_add_builtin(library.get(), kName, start) != 1 ||
      OSSL_PROVIDER_load(library.get(), kName) == nullptr) {
    refuse();
  }
  return library.release();
}

}  // namespace

OSSL_LIB_CTX* upstream_library() {
  static OSSL_LIB_CTX* const library = make_library();
  return library;
}

}  // namespace iron::tls
