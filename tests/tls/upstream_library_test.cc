#include "tls/upstream_library.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "tests/tls/test_pki.h"
#include "tls/trust.h"

namespace iron::tls {
namespace {

using test::CertificateSpec;
using test::KeyKind;
constexpr const char* kOtherProviders =
    "openssl_conf = all\n[all]\nproviders = chosen\n"
    "[chosen]\ndefault = on\nbase = on\n[on]\nactivate = 1\n";
using ContextPtr = SslPtr<SSL_CTX, SSL_CTX_free>;

/// The certificate as a handshake of that library reads it; null if it cannot.
CertificatePtr read_by(OSSL_LIB_CTX* library, X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  const unsigned char* cursor = der;
  X509* read = X509_new_ex(library, nullptr);
  d2i_X509(&read, &cursor, size);
  OPENSSL_free(der);
  return CertificatePtr(read);
}

/// What each decoder says of itself.
std::vector<std::string> decoders_of(OSSL_LIB_CTX* library) {
  std::vector<std::string> found;
  OSSL_DECODER_do_all_provided(
      library,
      [](OSSL_DECODER* decoder, void* into) {
        static_cast<std::vector<std::string>*>(into)->emplace_back(
            OSSL_DECODER_get0_properties(decoder));
      },
      &found);
  return found;
}

TEST(UpstreamLibraryTest, ReadsAndVerifiesCertificatesOfEveryKindOfKey) {
  ASSERT_NE(upstream_library(), nullptr);
  for (const KeyKind kind :
       {KeyKind::rsa, KeyKind::rsa_pss, KeyKind::ed448, KeyKind::p256, KeyKind::p384, KeyKind::p521,
        KeyKind::p224, KeyKind::secp256k1, KeyKind::ed25519}) {
    SCOPED_TRACE(static_cast<int>(kind));
    CertificateSpec spec;
    spec.key = kind;
    const CertificatePtr made = test::make_certificate(spec);
    const CertificatePtr read = read_by(upstream_library(), made.get());
    ASSERT_TRUE(read);
    EVP_PKEY* key = X509_get0_pubkey(read.get());
    ASSERT_NE(key, nullptr);
    EXPECT_EQ(EVP_PKEY_eq(key, test::key_of(kind)), 1);
    EXPECT_EQ(X509_verify(read.get(), key), 1);
    // An anchor may have been read by the default context, as those that tests make.
    EXPECT_EQ(X509_verify(read.get(), test::key_of(kind)), 1);
    EXPECT_NE(
        X509_verify(read.get(), test::key_of(kind == KeyKind::rsa ? KeyKind::p256 : KeyKind::rsa)),
        1);
    ERR_clear_error();
  }
}

TEST(UpstreamLibraryTest, ACertificateWithoutAKeyThatCanBeReadIsRefusedAlike) {
  CertificateSpec spec;
  const CertificatePtr made = test::make_certificate(spec);
  unsigned char* der = nullptr;
  const int size = i2d_X509(made.get(), &der);
  const std::string whole(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  // Every byte of it another one: what one library reads, the other reads, with the same key.
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string broken = whole;
    broken[at] = static_cast<char>(broken[at] ^ 0x41);
    const auto read = [&](OSSL_LIB_CTX* library) {
      const auto* cursor = reinterpret_cast<const unsigned char*>(broken.data());
      X509* certificate = X509_new_ex(library, nullptr);
      d2i_X509(&certificate, &cursor, static_cast<long>(broken.size()));
      return CertificatePtr(certificate);
    };
    const CertificatePtr ours = read(upstream_library());
    const CertificatePtr theirs = read(nullptr);
    ASSERT_EQ(static_cast<bool>(ours), static_cast<bool>(theirs)) << at;
    if (!ours) continue;
    EVP_PKEY* our_key = X509_get0_pubkey(ours.get());
    EVP_PKEY* their_key = X509_get0_pubkey(theirs.get());
    ASSERT_EQ(our_key == nullptr, their_key == nullptr) << at;
    if (our_key != nullptr) EXPECT_EQ(EVP_PKEY_eq(our_key, their_key), 1) << at;
  }
  ERR_clear_error();
}

TEST(UpstreamLibraryTest, HasNoDecoderButThoseOfServersKeys) {
  const std::vector<std::string> few = decoders_of(upstream_library());
  EXPECT_EQ(few.size(), 6U);
  EXPECT_GT(decoders_of(nullptr).size(), 5 * few.size());
  for (const std::string& decoder : few) {
    EXPECT_TRUE(decoder.ends_with("input=der,structure=SubjectPublicKeyInfo")) << decoder;
  }
}

TEST(UpstreamLibraryTest, TlsFindsItsGroupsAndSuites) {
  const ContextPtr context(SSL_CTX_new_ex(upstream_library(), nullptr, TLS_client_method()));
  ASSERT_TRUE(context);
  EXPECT_EQ(SSL_CTX_set1_groups_list(context.get(), "X25519:P-256:P-384:P-521"), 1);
  const ContextPtr usual(SSL_CTX_new(TLS_client_method()));
  EXPECT_EQ(sk_SSL_CIPHER_num(SSL_CTX_get_ciphers(context.get())),
            sk_SSL_CIPHER_num(SSL_CTX_get_ciphers(usual.get())));
}

TEST(UpstreamLibraryTest, IsOneForTheProcess) { EXPECT_EQ(upstream_library(), upstream_library()); }

TEST(UpstreamLibraryDeathTest, ProvidersThatTheSystemConfiguresAreFollowed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const test::TemporaryDirectory directory;
  const std::string file = directory.write("openssl.cnf", kOtherProviders);
  ::setenv("OPENSSL_CONF", file.c_str(), 1);
  EXPECT_EXIT(::_exit(upstream_library() == nullptr ? 7 : 8), testing::ExitedWithCode(7), "");
  ::unsetenv("OPENSSL_CONF");
}

/// Fails one of OpenSSL's allocations.
struct Allocations {
  static bool fails() { return counting && count++ == failing; }
  static void* take(std::size_t size, const char*, int) {
    return fails() ? nullptr : std::malloc(size);
  }
  static void* resize(void* memory, std::size_t size, const char*, int) {
    if (size == 0) std::free(memory);
    return size == 0 || fails() ? nullptr : std::realloc(memory, size);
  }
  static void give(void* memory, const char*, int) { std::free(memory); }
  static inline bool counting = false;
  static inline long count = 0, failing = -1;
};

/// Tries `attempt` in a process of its own in which allocation `number` fails, and again without
/// that if it threw; whether it held what it promises.
bool holds(long number, const std::function<bool()>& attempt) {
  const pid_t child = ::fork();
  if (child == 0) {
    Allocations::failing = number;
    for (int round = 0; round < 2; ++round) {
      try {
        Allocations::counting = round == 0;
        const bool good = attempt();
        ::_exit(good ? 0 : 1);
      } catch (const std::bad_alloc&) {
      }
    }
    ::_exit(2);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

/// Tries every `step`th of the first `allocations`, and exits with 1 if the failure of one breaks
/// what `attempt` promises.
void exit_with_what_breaks(long allocations, long step, const std::function<bool()>& attempt) {
  for (long number = 0; number < allocations; number += step) {
    if (holds(number, attempt)) continue;
    std::fprintf(stderr, "allocation %ld\n", number);
    ::_exit(1);
  }
  ::_exit(0);
}

/// OpenSSL takes other functions before its first allocation only. The context of the clients' side
/// is there before the upstreams' is made.
void take_over_allocations() {
  if (CRYPTO_set_mem_functions(Allocations::take, Allocations::resize, Allocations::give) != 1)
    ::_exit(3);
  if (!ContextPtr(SSL_CTX_new(TLS_server_method()))) ::_exit(4);
}

bool shakes_hands(OSSL_LIB_CTX* library) {
  const ContextPtr context(SSL_CTX_new_ex(library, nullptr, TLS_client_method()));
  const SslPtr<SSL, SSL_free> client(SSL_new(context.get()));
  SSL_set_bio(client.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_connect_state(client.get());
  const int result = SSL_do_handshake(client.get());
  return SSL_get_error(client.get(), result) == SSL_ERROR_WANT_READ;
}

TEST(UpstreamLibraryDeathTest, OneThatIsNotWholeIsNeverUsed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto attempt = [] {
    OSSL_LIB_CTX* library = upstream_library();
    Allocations::counting = false;
    return library == nullptr || (decoders_of(library).size() == 6 && shakes_hands(library));
  };
  EXPECT_EXIT((take_over_allocations(), exit_with_what_breaks(12000, 97, attempt)),
              testing::ExitedWithCode(0), "");
}

TEST(UpstreamLibraryDeathTest, ConfiguredProvidersAreFollowedWhateverFails) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const test::TemporaryDirectory directory;
  const std::string file = directory.write("openssl.cnf", kOtherProviders);
  ::setenv("OPENSSL_CONF", file.c_str(), 1);
  const auto attempt = [] { return upstream_library() == nullptr; };
  EXPECT_EXIT((take_over_allocations(), exit_with_what_breaks(12000, 97, attempt)),
              testing::ExitedWithCode(0), "");
  ::unsetenv("OPENSSL_CONF");
}

TEST(UpstreamLibraryDeathTest, TheTrustStoreHasAllOfItOrNothing) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const test::TemporaryDirectory directory;
  const auto attempt = [] {
    const TrustStorePtr store = load_trust_store();
    Allocations::counting = false;
    STACK_OF(X509_OBJECT)* all = X509_STORE_get0_objects(store.get());
    for (int i = 0; i < sk_X509_OBJECT_num(all); ++i) {
      X509* one = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
      if (X509_get0_pubkey(one) == nullptr || X509_check_ca(one) != 1) return false;
    }
    return sk_X509_OBJECT_num(all) == 5;
  };
  EXPECT_EXIT(
      {
        take_over_allocations();
        std::string bundle;
        for (const char* name : {"A", "B", "C", "D", "E"}) {
          CertificateSpec spec;
          spec.common_name = name;
          bundle += test::pem(test::make_certificate(spec).get());
        }
        ::setenv("SSL_CERT_FILE", directory.write("all.pem", bundle).c_str(), 1);
        ::setenv("SSL_CERT_DIR", directory.file("none").c_str(), 1);
        upstream_library();
        exit_with_what_breaks(4500, 17, attempt);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace iron::tls
