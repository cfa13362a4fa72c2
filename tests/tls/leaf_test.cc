#include "tls/leaf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <set>

#include "tests/tls/test_pki.h"
#include "tls/certificate_authority.h"

namespace iron::tls {
namespace {

using test::CertificateSpec;
using test::KeyKind;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kHour = 3600;
constexpr std::int64_t kNow = 1'900'000'000;

std::string one_line(const X509_NAME* name) {
  char text[512] = "";
  X509_NAME_oneline(name, text, sizeof text);
  return text;
}

std::int64_t starts(const X509* certificate) {
  return seconds_since_epoch(X509_get0_notBefore(certificate), -1);
}
std::int64_t ends(const X509* certificate) {
  return seconds_since_epoch(X509_get0_notAfter(certificate), -1);
}

std::string identifier(const ASN1_OCTET_STRING* octets) {
  if (octets == nullptr) return "none";
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(octets)),
                     static_cast<std::size_t>(ASN1_STRING_length(octets)));
}

/// Mints one leaf under a CA of `spec` and returns what a server would send.
class LeafTest : public testing::Test {
 protected:
  std::vector<CertificatePtr> mint(const CertificateSpec& spec,
                                   const std::string& name,
                                   LeafOptions changes = {}) {
    ca_ = test::make_certificate(spec);
    changes.ca_cert = directory_.write("ca.crt", test::pem(ca_.get()));
    changes.ca_key = directory_.write("ca.key", test::pem(test::key_of(spec.key)));
    if (!changes.now) changes.now = [] { return kNow; };
    LeafStore store(changes);
    const auto leaf = test::request_and_wait(store, name);
    EXPECT_TRUE(leaf) << (leaf ? "" : leaf.error().text);
    if (!leaf) return {};
    return test::presented_by(**leaf);
  }
  static CertificateSpec authority(KeyKind key = KeyKind::p256) {
    CertificateSpec spec;
    spec.key = key;
    spec.not_before = kNow - 365 * 24 * kHour;
    spec.not_after = kNow + 3650 * 24 * kHour;
    return spec;
  }

  test::TemporaryDirectory directory_;
  CertificatePtr ca_;
};

TEST_F(LeafTest, FieldsOfALeafForAName) {
  const auto chain = mint(authority(), "api.example.test");
  ASSERT_EQ(chain.size(), 2u);
  X509* leaf = chain[0].get();
  EXPECT_EQ(X509_get_version(leaf), X509_VERSION_3);
  EXPECT_EQ(one_line(X509_get_subject_name(leaf)), "/CN=api.example.test");
  EXPECT_EQ(one_line(X509_get_issuer_name(leaf)), "/CN=Test CA");
  EXPECT_EQ(starts(leaf), kNow - 24 * kHour);
  EXPECT_EQ(ends(leaf), kNow + 72 * kHour);
  EXPECT_EQ(X509_get_signature_nid(leaf), NID_ecdsa_with_SHA256);
  char group[16] = "";
  EXPECT_EQ(EVP_PKEY_get_base_id(X509_get0_pubkey(leaf)), EVP_PKEY_EC);
  EXPECT_EQ(EVP_PKEY_get_group_name(X509_get0_pubkey(leaf), group, sizeof group, nullptr), 1);
  EXPECT_STREQ(group, "prime256v1");
  EXPECT_THAT(test::extension_names(leaf), ElementsAre("keyUsage critical", "extendedKeyUsage",
                                                       "authorityKeyIdentifier", "subjectAltName"));
  EXPECT_EQ(test::extension_text(leaf, NID_key_usage), "Digital Signature");
  EXPECT_EQ(test::extension_text(leaf, NID_ext_key_usage), "TLS Web Server Authentication");
  EXPECT_EQ(test::extension_text(leaf, NID_subject_alt_name), "DNS:api.example.test");
  EXPECT_EQ(identifier(X509_get0_authority_key_id(leaf)),
            identifier(X509_get0_subject_key_id(ca_.get())));
  EXPECT_EQ(X509_cmp(chain[1].get(), ca_.get()), 0);
  EXPECT_EQ(test::verify(chain, ca_.get(), "api.example.test", kNow), X509_V_OK);
  EXPECT_EQ(test::verify(chain, ca_.get(), "other.test", kNow), X509_V_ERR_HOSTNAME_MISMATCH);
}

TEST_F(LeafTest, SerialsAreRandomAndPositive) {
  std::set<std::string> seen;
  for (int i = 0; i < 20; ++i) {
    const auto chain = mint(authority(), "a.test");
    ASSERT_FALSE(chain.empty());
    const SslPtr<BIGNUM, BN_free> serial(
        ASN1_INTEGER_to_BN(X509_get0_serialNumber(chain[0].get()), nullptr));
    EXPECT_FALSE(BN_is_negative(serial.get()));
    EXPECT_EQ(BN_num_bits(serial.get()), 127);
    const SslPtr<char, [](void* text) { OPENSSL_free(text); }> text(BN_bn2hex(serial.get()));
    EXPECT_TRUE(seen.insert(text.get()).second);
  }
}

TEST_F(LeafTest, SignatureGoesWithTheKeyOfTheAuthority) {
  struct Row {
    KeyKind key;
    int signature;
  };
  LeafOptions direct;
  direct.signer = LeafOptions::Signer::ca;
  for (const Row& row :
       {Row{KeyKind::rsa, NID_sha256WithRSAEncryption}, Row{KeyKind::p256, NID_ecdsa_with_SHA256},
        Row{KeyKind::p384, NID_ecdsa_with_SHA384}, Row{KeyKind::p521, NID_ecdsa_with_SHA512},
        Row{KeyKind::ed25519, NID_ED25519}}) {
    const auto chain = mint(authority(row.key), "a.test", direct);
    ASSERT_EQ(chain.size(), 2u);
    EXPECT_EQ(X509_get_signature_nid(chain[0].get()), row.signature);
    EXPECT_EQ(test::verify(chain, ca_.get(), "a.test", kNow), X509_V_OK);
  }
}

TEST_F(LeafTest, AddressBecomesAnAddressName) {
  for (const std::string address : {"192.0.2.7", "2001:db8::1"}) {
    const auto chain = mint(authority(), address);
    ASSERT_EQ(chain.size(), 2u);
    EXPECT_EQ(one_line(X509_get_subject_name(chain[0].get())), "/CN=" + address);
    EXPECT_THAT(*test::extension_text(chain[0].get(), NID_subject_alt_name),
                HasSubstr("IP Address:"));
    EXPECT_EQ(test::verify(chain, ca_.get(), address, kNow), X509_V_OK);
  }
}

TEST_F(LeafTest, LongNameLeavesTheSubjectEmptyAndMakesTheNameCritical) {
  const std::string fits = std::string(59, 'a') + ".test",
                    too_long = std::string(60, 'a') + ".test";
  auto chain = mint(authority(), fits);
  ASSERT_FALSE(chain.empty());
  EXPECT_EQ(one_line(X509_get_subject_name(chain[0].get())), "/CN=" + fits);
  chain = mint(authority(), too_long);
  ASSERT_FALSE(chain.empty());
  EXPECT_EQ(X509_NAME_entry_count(X509_get_subject_name(chain[0].get())), 0);
  EXPECT_THAT(test::extension_names(chain[0].get()),
              ElementsAre("keyUsage critical", "extendedKeyUsage", "authorityKeyIdentifier",
                          "subjectAltName critical"));
  EXPECT_EQ(test::verify(chain, ca_.get(), too_long, kNow), X509_V_OK);
}

TEST_F(LeafTest, NothingBeginsBeforeItsIssuer) {
  LeafOptions direct;
  direct.signer = LeafOptions::Signer::ca;
  for (const auto& options : {LeafOptions(), direct}) {
    for (const KeyKind key : {KeyKind::p256, KeyKind::rsa, KeyKind::ed25519}) {
      // Made a moment ago, within the day, and before; the last has not begun.
      for (const std::int64_t age : {0 * kHour, kHour, 24 * kHour, 25 * kHour, -kHour}) {
        CertificateSpec spec = authority(key);
        spec.not_before = kNow - age;
        const auto chain = mint(spec, "a.test", options);
        ASSERT_FALSE(chain.empty());
        const std::int64_t wanted = std::max(kNow - 24 * kHour, spec.not_before);
        for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
          EXPECT_EQ(starts(chain[i].get()), wanted) << age << " of " << i;
        }
        EXPECT_EQ(ends(chain[0].get()), kNow + 72 * kHour);
        if (age >= 0) EXPECT_EQ(test::verify(chain, ca_.get(), "a.test", kNow), X509_V_OK) << age;
      }
    }
  }
}

TEST_F(LeafTest, LeafEndsWithTheAuthority) {
  CertificateSpec spec = authority();
  spec.not_after = kNow + 5 * kHour;
  const auto chain = mint(spec, "a.test");
  ASSERT_FALSE(chain.empty());
  EXPECT_EQ(ends(chain[0].get()), kNow + 5 * kHour);
}

TEST_F(LeafTest, LifeIsTheOptionInHours) {
  for (const std::int64_t hours : {1, 168, -1}) {
    LeafOptions options;
    options.expiry_hours = hours;
    const auto chain = mint(authority(), "a.test", options);
    ASSERT_FALSE(chain.empty());
    EXPECT_EQ(ends(chain[0].get()), kNow + hours * kHour);
  }
  LeafOptions forever;
  forever.expiry_hours = std::numeric_limits<std::int64_t>::max();
  const auto chain = mint(authority(), "a.test", forever);
  ASSERT_FALSE(chain.empty());
  EXPECT_EQ(ends(chain[0].get()), ends(ca_.get()));
}

TEST_F(LeafTest, AuthorityWithoutKeyIdentifierGivesALeafWithoutOne) {
  CertificateSpec spec = authority();
  spec.subject_key_identifier = false;
  const auto chain = mint(spec, "a.test");
  ASSERT_FALSE(chain.empty());
  EXPECT_THAT(test::extension_names(chain[0].get()),
              ElementsAre("keyUsage critical", "extendedKeyUsage", "subjectAltName"));
}

TEST_F(LeafTest, IntermediateUnderAnRsaAuthority) {
  const auto chain = mint(authority(KeyKind::rsa), "a.test");
  ASSERT_EQ(chain.size(), 3u);
  X509* leaf = chain[0].get();
  X509* intermediate = chain[1].get();
  EXPECT_EQ(X509_cmp(chain[2].get(), ca_.get()), 0);
  EXPECT_EQ(X509_get_signature_nid(leaf), NID_ecdsa_with_SHA256);
  EXPECT_EQ(X509_get_signature_nid(intermediate), NID_sha256WithRSAEncryption);
  EXPECT_THAT(one_line(X509_get_subject_name(intermediate)),
              testing::MatchesRegex("/CN=iron-proxy leaf signer [0-9a-f]+"));
  EXPECT_THAT(test::extension_names(intermediate),
              ElementsAre("basicConstraints critical", "keyUsage critical", "subjectKeyIdentifier",
                          "authorityKeyIdentifier"));
  EXPECT_EQ(test::extension_text(intermediate, NID_basic_constraints), "CA:TRUE, pathlen:0");
  EXPECT_EQ(test::extension_text(intermediate, NID_key_usage), "Certificate Sign");
  EXPECT_EQ(starts(intermediate), kNow - 24 * kHour);
  EXPECT_EQ(ends(intermediate), kNow + 30 * 24 * kHour);
  EXPECT_EQ(identifier(X509_get0_authority_key_id(leaf)),
            identifier(X509_get0_subject_key_id(intermediate)));
  EXPECT_EQ(identifier(X509_get0_authority_key_id(intermediate)),
            identifier(X509_get0_subject_key_id(ca_.get())));
  EXPECT_EQ(test::verify(chain, ca_.get(), "a.test", kNow), X509_V_OK);
}

TEST_F(LeafTest, IntermediateStaysWithinTheAuthorityAndLeafWithinTheIntermediate) {
  CertificateSpec spec = authority(KeyKind::rsa);
  spec.not_before = kNow - kHour;
  spec.not_after = kNow + 100 * kHour;
  LeafOptions options;
  options.expiry_hours = 8760;
  auto chain = mint(spec, "a.test", options);
  ASSERT_EQ(chain.size(), 3u);
  EXPECT_EQ(starts(chain[1].get()), spec.not_before);
  EXPECT_EQ(ends(chain[1].get()), spec.not_after);
  EXPECT_EQ(ends(chain[0].get()), spec.not_after);
  chain = mint(authority(KeyKind::rsa), "a.test", options);
  ASSERT_EQ(chain.size(), 3u);
  EXPECT_EQ(ends(chain[0].get()), ends(chain[1].get()));
}

TEST_F(LeafTest, WhenTheAuthoritySignsItself) {
  struct Row {
    const char* why;
    const char* constraints;
    const char* extended;
    LeafOptions::Signer signer;
    std::size_t certificates;
  };
  using Signer = LeafOptions::Signer;
  for (const Row& row :
       {Row{"no limit", "critical,CA:TRUE", "", Signer::automatic, 3},
        Row{"one may follow", "critical,CA:TRUE,pathlen:1", "", Signer::automatic, 3},
        Row{"none may follow", "critical,CA:TRUE,pathlen:0", "", Signer::automatic, 2},
        Row{"for servers", "critical,CA:TRUE", "serverAuth", Signer::automatic, 3},
        Row{"for any use", "critical,CA:TRUE", "anyExtendedKeyUsage", Signer::automatic, 3},
        Row{"for clients only", "critical,CA:TRUE", "clientAuth", Signer::automatic, 2},
        Row{"asked for", "critical,CA:TRUE", "", Signer::ca, 2}}) {
    CertificateSpec spec = authority(KeyKind::rsa);
    spec.basic_constraints = row.constraints;
    spec.extended_key_usage = row.extended;
    LeafOptions options;
    options.signer = row.signer;
    EXPECT_EQ(mint(spec, "a.test", options).size(), row.certificates) << row.why;
  }
}

TEST_F(LeafTest, NamesThatGetALeaf) {
  for (const char* name : {"a", "a_b.example", "xn--bcher-kva.test", "1.2.3.4.5", "-", "a..b"}) {
    EXPECT_TRUE(acceptable_server_name(name)) << name;
  }
  for (const std::string& name :
       {std::string(), std::string("a\0b", 3), std::string("a b"), std::string("*.a"),
        std::string("b\xc3\xbc.test"), std::string("a/b"), std::string("[::1]"),
        std::string(254, 'a')}) {
    EXPECT_FALSE(acceptable_server_name(name)) << name;
  }
  EXPECT_TRUE(acceptable_server_name(std::string(253, 'a')));
}

TEST_F(LeafTest, SessionContextDependsOnNameAndAuthority) {
  const CertificatePtr first = test::make_certificate(authority()),
                       second = test::make_certificate(authority());
  const auto context = [&](const CertificatePtr& ca, const std::string& name,
                           LeafOptions::Signer signer) {
    LeafOptions options = test::write_pair(directory_, ca.get(), KeyKind::p256);
    options.signer = signer;
    LeafStore store(options);
    const auto leaf = test::request_and_wait(store, name);
    return std::string(reinterpret_cast<const char*>((*leaf)->session_context()), 32);
  };
  using Signer = LeafOptions::Signer;
  const std::string reference = context(first, "a.test", Signer::automatic);
  EXPECT_EQ(context(first, "a.test", Signer::automatic), reference);
  EXPECT_NE(context(first, "b.test", Signer::automatic), reference);
  EXPECT_NE(context(second, "a.test", Signer::automatic), reference);
  EXPECT_NE(context(first, "a.test", Signer::ca), reference);
}

}  // namespace
}  // namespace iron::tls
