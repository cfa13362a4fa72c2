#include "tls/trust.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <future>
#include <set>

#include "tests/tls/test_pki.h"

namespace iron::tls {
namespace {

using test::CertificateSpec;

std::set<std::string> names_in(X509_STORE* store) {
  std::set<std::string> names;
  STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(store);
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    char text[128] = "";
    X509* certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text,
                              sizeof text);
    names.insert(text);
  }
  return names;
}

class TrustTest : public testing::Test {
 protected:
  ~TrustTest() override {
    ::unsetenv("SSL_CERT_FILE");
    ::unsetenv("SSL_CERT_DIR");
  }
  static std::string root(const std::string& name) {
    CertificateSpec spec;
    spec.common_name = name;
    return test::pem(test::make_certificate(spec).get());
  }
  static std::set<std::string> load(const std::string& file, const std::string& directories) {
    ::setenv("SSL_CERT_FILE", file.c_str(), 1);
    ::setenv("SSL_CERT_DIR", directories.c_str(), 1);
    const TrustStorePtr store = load_trust_store();
    return names_in(store.get());
  }
  test::TemporaryDirectory files_, first_, second_;
};

TEST_F(TrustTest, FileAndDirectoriesFromTheEnvironment) {
  const std::string bundle = files_.write("bundle.pem", "text\n" + root("A") + root("B"));
  first_.write("c.pem", root("C"));
  first_.write(".hidden", root("D"));
  second_.write("e.0", root("E"));
  EXPECT_EQ(load(bundle, first_.path() + ":" + second_.path()),
            (std::set<std::string>{"A", "B", "C", "D", "E"}));
}

TEST_F(TrustTest, WhatCannotBeReadIsSkipped) {
  const std::string broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const std::string cut = "-----BEGIN CERTIFICATE-----\n!!\n";
  first_.write("a.pem",
               broken + root("A") + test::pem(test::key_of(test::KeyKind::p256)) + root("B") + cut);
  first_.write("b.txt", "nothing here");
  first_.write("empty", "");
  ::mkfifo(first_.file("pipe").c_str(), 0600);
  EXPECT_EQ(load(files_.file("none"), files_.file("none") + "::" + first_.path()),
            (std::set<std::string>{"A", "B"}));
}

TEST_F(TrustTest, NoBrokenCertificateKeepsTheOthersAway) {
  CertificateSpec spec;
  spec.common_name = "A";
  const CertificatePtr good = test::make_certificate(spec);
  unsigned char* der = nullptr;
  const int size = i2d_X509(good.get(), &der);
  const SslMemory<unsigned char> owner(der);
  const std::string sound = root("B");
  for (int at = 0; at < size; ++at) {
    for (const unsigned char change : std::to_array<unsigned char>({0x01, 0x80, 0xff})) {
      der[at] ^= change;
      const SslPtr<BIO, BIO_free> out(BIO_new(BIO_s_mem()));
      PEM_write_bio(out.get(), PEM_STRING_X509, "", der, size);
      char* text = nullptr;
      const long length = BIO_get_mem_data(out.get(), &text);
      const std::string bundle(text, static_cast<std::size_t>(length));
      std::set<std::string> names;
      ASSERT_NO_THROW(names = load(files_.write("all.pem", bundle + sound), files_.file("none")))
          << at;
      EXPECT_TRUE(names.contains("B")) << at;
      der[at] ^= change;
    }
  }
}

TEST_F(TrustTest, EachVariableReplacesItsOwnPartOnly) {
  ::unsetenv("SSL_CERT_FILE");
  ::setenv("SSL_CERT_DIR", first_.path().c_str(), 1);
  const TrustStorePtr bundle_only = load_trust_store();
  const std::string file = files_.write("a.pem", root("A"));
  ::setenv("SSL_CERT_FILE", file.c_str(), 1);
  ::unsetenv("SSL_CERT_DIR");
  const TrustStorePtr with_directories = load_trust_store();
  const std::set<std::string> of_system = names_in(bundle_only.get());
  std::set<std::string> of_directories = names_in(with_directories.get());
  EXPECT_EQ(of_directories.count("A"), 1u);
  EXPECT_EQ(of_directories.size() > 1, !of_system.empty());
}

TEST_F(TrustTest, AnchorsNeedNotBeSelfSigned) {
  const CertificatePtr root = test::make_certificate({});
  CertificateSpec spec;
  spec.common_name = "anchor";
  const CertificatePtr anchor = test::make_certificate(spec, root.get());
  CertificateSpec leaf_spec;
  leaf_spec.common_name = "leaf";
  const CertificatePtr leaf = test::make_certificate(leaf_spec, anchor.get());
  ::setenv("SSL_CERT_FILE", files_.write("anchor.pem", test::pem(anchor.get())).c_str(), 1);
  ::setenv("SSL_CERT_DIR", first_.path().c_str(), 1);
  const TrustStorePtr store = load_trust_store();
  const SslPtr<X509_STORE_CTX, X509_STORE_CTX_free> context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), nullptr);
  EXPECT_EQ(X509_verify_cert(context.get()), 1);
}

TEST_F(TrustTest, MayBeLoadedByThreadsAtTheSameTime) {
  const std::string file = files_.write("a.pem", root("A"));
  ::setenv("SSL_CERT_FILE", file.c_str(), 1);
  ::setenv("SSL_CERT_DIR", first_.path().c_str(), 1);
  std::vector<std::future<TrustStorePtr>> loading;
  for (int i = 0; i < 4; ++i) loading.push_back(std::async(std::launch::async, load_trust_store));
  for (auto& future : loading) {
    const TrustStorePtr store = future.get();
    EXPECT_EQ(names_in(store.get()).size(), 1u);
  }
}

}  // namespace
}  // namespace iron::tls
