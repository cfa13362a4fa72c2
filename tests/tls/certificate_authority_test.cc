#include "tls/certificate_authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include <stdexcept>

#include "tests/tls/test_pki.h"

namespace iron::tls {
namespace {

using test::CertificateSpec;
using test::KeyForm;
using test::KeyKind;
using testing::StartsWith;

class CertificateAuthorityTest : public testing::Test {
 protected:
  static std::string certificate(const CertificateSpec& spec = {}) {
    return test::pem(test::make_certificate(spec).get());
  }
  static std::string certificate_for(KeyKind key) {
    CertificateSpec spec;
    spec.key = key;
    return certificate(spec);
  }
  static std::string key(KeyKind kind = KeyKind::p256, KeyForm form = KeyForm::pkcs8) {
    return test::pem(test::key_of(kind), form);
  }
  /// Loads a pair with this text; the error, or an empty string.
  std::string fault_of(const std::string& certificate_text, const std::string& key_text) {
    const std::string certificate_path = directory_.write("ca.crt", certificate_text);
    const std::string key_path = directory_.write("ca.key", key_text);
    return load(certificate_path, key_path);
  }
  static std::string load(const std::string& certificate_path, const std::string& key_path) {
    try {
      const CertificateAuthority authority = load_certificate_authority(certificate_path, key_path);
      return authority.certificate && authority.key ? "" : "nothing loaded";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }

  test::TemporaryDirectory directory_;
};

TEST_F(CertificateAuthorityTest, AllFormsOfKeysLoad) {
  for (const KeyKind kind :
       {KeyKind::rsa, KeyKind::p256, KeyKind::p384, KeyKind::p521, KeyKind::p224}) {
    EXPECT_EQ(fault_of(certificate_for(kind), key(kind, KeyForm::pkcs8)), "");
    EXPECT_EQ(fault_of(certificate_for(kind), key(kind, KeyForm::traditional)), "");
  }
  EXPECT_EQ(fault_of(certificate_for(KeyKind::ed25519), key(KeyKind::ed25519)), "");
  EXPECT_THAT(key(KeyKind::rsa, KeyForm::traditional), StartsWith("-----BEGIN RSA PRIVATE KEY"));
  EXPECT_THAT(key(KeyKind::p256, KeyForm::traditional), StartsWith("-----BEGIN EC PRIVATE KEY"));
}

TEST_F(CertificateAuthorityTest, FirstBlockOfTheRightTypeCounts) {
  const std::string parameters =
      "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  const std::string both = key() + certificate();
  CertificateSpec other;
  other.basic_constraints = "";
  EXPECT_EQ(fault_of(certificate(), parameters + key(KeyKind::p256, KeyForm::traditional)), "");
  EXPECT_EQ(fault_of(both, both), "");
  EXPECT_EQ(fault_of("some text\n" + certificate() + certificate(other),
                     "text\n" + key() + key(KeyKind::rsa)),
            "");
  EXPECT_EQ(fault_of(certificate(other) + certificate(), key()),
            "certificate is not a CA (BasicConstraints.IsCA is false)");
}

TEST_F(CertificateAuthorityTest, OtherLabelsAreAcceptedWhereNothingBetterIsFound) {
  std::string relabelled = certificate();
  for (std::size_t at; (at = relabelled.find(" CERTIFICATE")) != std::string::npos;) {
    relabelled.replace(at, 12, " X.509CERT");
  }
  EXPECT_EQ(fault_of(relabelled, key()), "");
}

TEST_F(CertificateAuthorityTest, MalformedBlockIsSteppedOver) {
  const std::string broken = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
  EXPECT_EQ(fault_of(broken + certificate(), key()), "");
  EXPECT_EQ(fault_of("-----BEGIN CERTIFICATE-----\nAAAA", key()), "no PEM block found in CA cert");
}

TEST_F(CertificateAuthorityTest, FilesThatCannotBeRead) {
  const std::string good_certificate = directory_.write("good.crt", certificate());
  const std::string good_key = directory_.write("good.key", key());
  const std::string none = directory_.file("none");
  EXPECT_EQ(load(none, good_key), "reading CA cert: open " + none + ": no such file or directory");
  EXPECT_EQ(load(good_certificate, none),
            "reading CA key: open " + none + ": no such file or directory");
  EXPECT_EQ(load(directory_.path(), good_key),
            "reading CA cert: read " + directory_.path() + ": is a directory");
  const std::string huge = directory_.write("huge", std::string(2 << 20, 'x'));
  EXPECT_EQ(load(huge, good_key), "reading CA cert: " + huge + " is larger than 1 MiB");
}

TEST_F(CertificateAuthorityTest, Faults) {
  CertificateSpec no_usage, no_sign, no_constraints, not_ca, other_key;
  no_usage.key_usage = "";
  no_sign.key_usage = "critical,digitalSignature,cRLSign";
  no_constraints.basic_constraints = "";
  not_ca.basic_constraints = "critical,CA:FALSE";
  other_key.key = KeyKind::p384;
  const std::string not_a_key =
      "parsing CA key (tried PKCS8, PKCS1, and EC formats): x509: failed to parse EC private key: ";
  const std::string junk = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
  const std::string no_certificate =
      "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
  // The first line of 64 characters is left.
  const std::string cut_certificate =
      certificate().substr(0, certificate().find('\n') + 66) + "-----END CERTIFICATE-----\n";
  struct Row {
    std::string certificate, key, fault;
  };
  const std::vector<Row> rows = {
      {"", key(), "no PEM block found in CA cert"},
      {"garbage\n", key(), "no PEM block found in CA cert"},
      {certificate(), "", "no PEM block found in CA key"},
      {certificate(), "garbage\n", "no PEM block found in CA key"},
      {key(), key(), "parsing CA cert: x509: malformed tbs certificate"},
      {no_certificate, key(), "parsing CA cert: x509: malformed certificate"},
      {cut_certificate, key(), "parsing CA cert: x509: malformed certificate"},
      {certificate(), certificate(), not_a_key},
      {certificate(), junk, not_a_key},
      {certificate(), key(KeyKind::secp256k1), not_a_key},
      {certificate(), key(KeyKind::x25519), not_a_key},
      {certificate(no_constraints), key(),
       "certificate is not a CA (BasicConstraints.IsCA is false)"},
      {certificate(not_ca), key(), "certificate is not a CA (BasicConstraints.IsCA is false)"},
      {certificate(no_usage), key(), "CA certificate missing KeyUsageCertSign"},
      {certificate(no_sign), key(), "CA certificate missing KeyUsageCertSign"},
      {certificate(), key(KeyKind::rsa), "CA key does not match CA certificate"},
      {certificate(other_key), key(), "CA key does not match CA certificate"},
      // The order of the checks where several would fail.
      {certificate(no_constraints), "garbage", "no PEM block found in CA key"},
      {certificate(not_ca), key(KeyKind::rsa),
       "certificate is not a CA (BasicConstraints.IsCA is false)"},
  };
  for (const Row& row : rows)
    EXPECT_THAT(fault_of(row.certificate, row.key), StartsWith(row.fault));
}

TEST_F(CertificateAuthorityTest, EncryptedKeyIsRefusedWithoutAskingForAPassword) {
  const SslPtr<BIO, BIO_free> bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), test::key_of(KeyKind::p256), EVP_aes_128_cbc(), "secret",
                                6, nullptr, nullptr);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  EXPECT_THAT(fault_of(certificate(), std::string(bytes, static_cast<std::size_t>(size))),
              StartsWith("parsing CA key (tried PKCS8, PKCS1, and EC formats): "));
}

TEST_F(CertificateAuthorityTest, ValidityIsRead) {
  CertificateSpec spec;
  spec.not_before = 1'700'000'000;
  spec.not_after = 4'000'000'000;  // beyond 2049, where the form of the time changes
  const std::string path = directory_.write("ca.crt", certificate(spec));
  const CertificateAuthority authority =
      load_certificate_authority(path, directory_.write("ca.key", key()));
  EXPECT_EQ(authority.not_before, 1'700'000'000);
  EXPECT_EQ(authority.not_after, 4'000'000'000);
}

}  // namespace
}  // namespace iron::tls
