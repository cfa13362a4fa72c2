#include "tls/error_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <ctime>
#include <functional>

#include "tests/tls/test_pki.h"
#include "tls/rejected_certificate.h"
#include "tls/trust.h"
#include "tls/upstream_library.h"

namespace iron::tls {
namespace {

using test::CertificateSpec;
using test::KeyKind;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

constexpr std::int64_t kDay = 24 * 3600;

/// Both ends of a handshake in memory; the client verifies `host` against `root`.
class Pair {
 public:
  Pair(X509* root, const CertificatePtr& leaf, KeyKind key, const std::string& host)
      : server_context_(SSL_CTX_new(TLS_server_method())),
        client_context_(SSL_CTX_new_ex(upstream_library(), nullptr, TLS_client_method())) {
    SSL_CTX_set_min_proto_version(server_context_.get(), TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(server_context_.get(), "ECDHE-ECDSA-AES128-GCM-SHA256");
    if (leaf) SSL_CTX_use_certificate(server_context_.get(), leaf.get());
    if (leaf) SSL_CTX_use_PrivateKey(server_context_.get(), test::key_of(key));
    X509_STORE* store = SSL_CTX_get_cert_store(client_context_.get());
    if (root != nullptr) X509_STORE_add_cert(store, root);
    X509_STORE_set_verify_cb(store, review_verification);
    SSL_CTX_set_verify(client_context_.get(), SSL_VERIFY_PEER, nullptr);
    host_ = host;
  }
  SSL_CTX* client_context() { return client_context_.get(); }
  /// The server sends this too, whether it has to do with its own or not.
  void also_sends(X509* certificate) {
    SSL_CTX_add1_chain_cert(server_context_.get(), certificate);
  }

  void connect() {
    start();
    BIO *server_side = nullptr, *client_side = nullptr;
    BIO_new_bio_pair(&server_side, 0, &client_side, 0);
    SSL_set_bio(server_.get(), server_side, server_side);
    SSL_set_bio(client_.get(), client_side, client_side);
    for (int i = 0; i < 6; ++i) {
      step(client_.get(), client_text, [&] { return handshake_error_text(client_.get(), host_); });
      step(server_.get(), server_text, [&] { return server_handshake_error_text(server_.get()); });
    }
  }
  /// Either side alone, against these bytes and then the end of the stream.
  std::string client_reads(const std::string& bytes) {
    start();
    return reads(client_.get(), bytes, [&] { return handshake_error_text(client_.get(), host_); });
  }
  std::string server_reads(const std::string& bytes) {
    start();
    return reads(server_.get(), bytes, [&] { return server_handshake_error_text(server_.get()); });
  }

  std::string client_text, server_text;  ///< empty: no error

 private:
  using Text = std::function<std::string()>;
  void start() {
    server_.reset(SSL_new(server_context_.get()));
    client_.reset(SSL_new(client_context_.get()));
    SSL_set_accept_state(server_.get());
    SSL_set_connect_state(client_.get());
    X509_VERIFY_PARAM* verify = SSL_get0_param(client_.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(verify, host_.c_str()) != 1) {
      X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
      SSL_set1_host(client_.get(), host_.c_str());
    }
    ERR_clear_error();
    errno = 0;
  }
  static void step(SSL* ssl, std::string& text, const Text& describe) {
    if (!text.empty()) return;
    const int result = SSL_do_handshake(ssl);
    const int error = SSL_get_error(ssl, result);
    if (result != 1 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
      text = describe();
  }
  static std::string reads(SSL* ssl, const std::string& bytes, const Text& describe) {
    BIO* input = BIO_new(BIO_s_mem());
    BIO_write(input, bytes.data(), static_cast<int>(bytes.size()));
    BIO_set_mem_eof_return(input, 0);
    SSL_set_bio(ssl, input, BIO_new(BIO_s_null()));
    std::string text;
    for (int i = 0; i < 3; ++i) step(ssl, text, describe);
    EXPECT_EQ(ERR_peek_error(), 0u) << "the queue is to be emptied";
    return text;
  }

  SslPtr<SSL_CTX, SSL_CTX_free> server_context_, client_context_;
  SslPtr<SSL, SSL_free> server_, client_;
  std::string host_;
};

struct Leaf {
  std::string names = "DNS:up.test,DNS:*.up.test";
  std::int64_t starts = -kDay, ends = kDay;  ///< from now
  std::string common_name = "up.test";
};

class ErrorTextTest : public testing::Test {
 protected:
  /// What the client's record would say about a server with this certificate; empty: accepted.
  std::string client_text(const Leaf& leaf,
                          const std::string& host,
                          bool trusted = true,
                          CertificateSpec authority = {}) {
    const CertificatePtr root = test::make_certificate(authority);
    CertificateSpec spec;
    spec.common_name = leaf.common_name;
    spec.basic_constraints = "";
    spec.key_usage = "critical,digitalSignature";
    spec.extended_key_usage = "serverAuth";
    spec.subject_alternative_name = leaf.names;
    spec.not_before = std::time(nullptr) + leaf.starts;
    spec.not_after = std::time(nullptr) + leaf.ends;
    Pair pair(trusted ? root.get() : nullptr, test::make_certificate(spec, root.get()),
              KeyKind::p256, host);
    pair.connect();
    return pair.client_text;
  }
};

TEST_F(ErrorTextTest, NamesAndAuthorities) {
  const std::string start = "tls: failed to verify certificate: x509: ";
  EXPECT_EQ(client_text({}, "up.test"), "");
  EXPECT_EQ(client_text({}, "a.up.test"), "");
  EXPECT_EQ(client_text({}, "up.test", false), start + "certificate signed by unknown authority");
  EXPECT_EQ(client_text({}, "multi.test"),
            start + "certificate is valid for up.test, *.up.test, not multi.test");
  EXPECT_EQ(client_text({}, "a.b.up.test"),
            start + "certificate is valid for up.test, *.up.test, not a.b.up.test");
  // A wrong name is named first, as the reference looks at names before it builds a chain.
  EXPECT_EQ(client_text({}, "multi.test", false),
            start + "certificate is valid for up.test, *.up.test, not multi.test");
  EXPECT_EQ(client_text({"IP:192.0.2.1"}, "192.0.2.1"), "");
  EXPECT_EQ(client_text({"IP:192.0.2.1,IP:2001:db8::1,DNS:up.test"}, "192.0.2.2"),
            start + "certificate is valid for 192.0.2.1, 2001:db8::1, not 192.0.2.2");
  EXPECT_EQ(
      client_text({}, "192.0.2.2"),
      start + "cannot validate certificate for 192.0.2.2 because it doesn't contain any IP SANs");
  EXPECT_EQ(client_text({"IP:192.0.2.1"}, "up.test"),
            start + "certificate is not valid for any names, but wanted to match up.test");
  EXPECT_EQ(client_text({""}, "up.test"),
            start + "certificate relies on legacy Common Name field, use SANs instead");
  EXPECT_EQ(client_text({""}, "other.test"),
            start + "certificate is not valid for any names, but wanted to match other.test");
}

TEST_F(ErrorTextTest, WildcardsCoverUnderscores) {
  const struct {
    const char *names, *host;
    bool covered;
  } rows[] = {
      {"DNS:*.wild.test", "a_b.wild.test", true},
      {"DNS:*.wild.test", "_.wild.test", true},
      {"DNS:*.wild.test", "_dmarc.wild.test", true},
      {"DNS:*.wild.test", "a-b_c--9_.wild.test", true},
      {"DNS:*.WILD.Test", "A_b.wilD.test", true},
      {"DNS:first.test,IP:192.0.2.1,DNS:*.wild.test", "a_b.wild.test", true},
      {"DNS:*.under_score.test", "a.under_score.test", true},
      {"DNS:*.under_score.test", "a_b.under_score.test", true},
      {"DNS:a_b.wild.test", "a_b.wild.test", true},
      // One label and a whole one, behind it two at least; nothing is folded into anything.
      {"DNS:*.wild.test", "c.a_b.wild.test", false},
      {"DNS:*.wild.test", "a_b.c.wild.test", false},
      {"DNS:*.wild.test", "a_bwild.test", false},
      {"DNS:*.wild.test", "a_b.wild.test.evil.test", false},
      {"DNS:*.wild.test", "wild_.test", false},
      {"DNS:a-b.wild.test", "a_b.wild.test", false},
      {"DNS:a?b.wild.test", "a_b.wild.test", false},
      {"DNS:a*.wild.test", "a_b.wild.test", false},
      {"DNS:*b.wild.test", "a_b.wild.test", false},
      {"DNS:a_*.wild.test", "a_b.wild.test", false},
      {"DNS:*", "a_b.wild.test", false},
      {"DNS:*.test", "a_b.test", false},
      {"DNS:*.*.test", "a_b.c_d.test", false},
      {"DNS:*.wild.test.", "a_b.wild.test", false},
      {"DNS:*wild.test", "a_b.wild.test", false},
      {"email:*.wild.test", "a_b.wild.test", false},
      {"URI:*.wild.test", "a_b.wild.test", false},
  };
  for (const auto& row : rows) {
    const std::string text = client_text({row.names}, row.host);
    if (row.covered) {
      EXPECT_EQ(text, "") << row.names << " for " << row.host;
    } else {
      EXPECT_THAT(text, StartsWith("tls: failed to verify certificate: x509: certificate is "))
          << row.names << " for " << row.host;
    }
  }
  // All else about such a certificate is looked at as ever.
  EXPECT_EQ(client_text({"DNS:*.wild.test"}, "a_b.wild.test", false),
            "tls: failed to verify certificate: x509: certificate signed by unknown authority");
  EXPECT_THAT(client_text({"DNS:*.wild.test", -2 * kDay, -kDay}, "a_b.wild.test"),
              HasSubstr("x509: certificate has expired"));
}

TEST_F(ErrorTextTest, ManyNamesAreCounted) {
  std::string names;
  for (int i = 0; i < 100; ++i)
    names += (i == 0 ? "DNS:n" : ",DNS:n") + std::to_string(i) + ".test";
  EXPECT_THAT(client_text({names}, "up.test"),
              HasSubstr("certificate is valid for 100 names, but none matched up.test"));
}

TEST_F(ErrorTextTest, Dates) {
  const std::string start =
      "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: "
      "current time ";
  const std::string time =
      "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]Z";
  EXPECT_THAT(client_text({"DNS:up.test", -2 * kDay, -kDay}, "up.test"),
              MatchesRegex(start + time + " is after " + time));
  EXPECT_THAT(client_text({"DNS:up.test", kDay, 2 * kDay}, "up.test"),
              MatchesRegex(start + time + " is before " + time));
  EXPECT_THAT(client_text({"DNS:up.test", -2 * kDay, -kDay}, "other.test"), StartsWith(start));
  CertificateSpec spec;
  spec.not_before = 1'795'512'888 - 2 * kDay;
  spec.not_after = 1'795'512'888 - kDay;
  const CertificatePtr leaf = test::make_certificate(spec);
  EXPECT_EQ(
      verification_error_text(X509_V_ERR_CERT_HAS_EXPIRED, leaf.get(), "up.test", 1'795'512'888),
      "x509: certificate has expired or is not yet valid: current time 2026-11-24T09:34:48Z is "
      "after "
      "2026-11-23T09:34:48Z");
}

TEST_F(ErrorTextTest, AuthorityThatIsNotGoodEnough) {
  CertificateSpec expired;
  expired.not_before = std::time(nullptr) - 2 * kDay;
  expired.not_after = std::time(nullptr) - kDay;
  EXPECT_EQ(client_text({}, "up.test", true, expired),
            "tls: failed to verify certificate: x509: certificate signed by unknown authority");
  CertificateSpec not_ca;
  not_ca.basic_constraints = "critical,CA:FALSE";
  EXPECT_THAT(client_text({}, "up.test", true, not_ca),
              StartsWith("tls: failed to verify certificate: x509: "));
}

TEST_F(ErrorTextTest, WithoutTheCertificateTheTextIsShorter) {
  EXPECT_EQ(verification_error_text(X509_V_ERR_HOSTNAME_MISMATCH, nullptr, "a.test", 0),
            "x509: certificate is not valid for any names, but wanted to match a.test");
  EXPECT_EQ(verification_error_text(X509_V_ERR_PATH_LENGTH_EXCEEDED, nullptr, "a.test", 0),
            "x509: too many intermediates for path length constraint");
  EXPECT_THAT(verification_error_text(X509_V_ERR_CERT_REVOKED, nullptr, "a.test", 0),
              StartsWith("x509: "));
}

TEST_F(ErrorTextTest, PeersThatDisagree) {
  const CertificatePtr root = test::make_certificate({});
  CertificateSpec spec;
  spec.subject_alternative_name = "DNS:up.test";
  const CertificatePtr leaf = test::make_certificate(spec, root.get());
  {
    Pair pair(root.get(), leaf, KeyKind::p256, "up.test");
    SSL_CTX_set_min_proto_version(pair.client_context(), 0);
    SSL_CTX_set_max_proto_version(pair.client_context(), TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(pair.client_context(), "ALL:@SECLEVEL=0");
    pair.connect();
    EXPECT_EQ(pair.server_text, "tls: client offered only unsupported versions: [302 301]");
    EXPECT_EQ(pair.client_text, "remote error: tls: protocol version not supported");
  }
  {
    Pair pair(root.get(), leaf, KeyKind::p256, "up.test");
    SSL_CTX_set_max_proto_version(pair.client_context(), TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(pair.client_context(), "AES128-GCM-SHA256");
    pair.connect();
    EXPECT_EQ(pair.server_text,
              "tls: no cipher suite supported by both client and server; client offered: [9c ff]");
    EXPECT_EQ(pair.client_text, "remote error: tls: handshake failure");
  }
  {
    Pair pair(nullptr, leaf, KeyKind::p256, "up.test");
    pair.connect();
    EXPECT_EQ(pair.server_text, "remote error: tls: unknown certificate authority");
  }
}

TEST_F(ErrorTextTest, WhatIsNotTls) {
  const char* not_tls = "tls: first record does not look like a TLS handshake";
  Pair pair(nullptr, nullptr, KeyKind::p256, "up.test");
  EXPECT_EQ(pair.server_reads("GET / HTTP/1.1\r\n\r\n"), not_tls);
  EXPECT_EQ(pair.server_reads("CONNECT a:443 HTTP/1.1\r\n\r\n"), not_tls);
  EXPECT_EQ(pair.server_reads("SSH-2.0-OpenSSH_9.2\r\n"), not_tls);
  EXPECT_EQ(pair.server_reads(std::string(40, '\0')), not_tls);
  EXPECT_EQ(pair.client_reads("HTTP/1.1 400 Bad Request\r\n\r\n"), not_tls);
  EXPECT_EQ(pair.client_reads("220 mail.test ESMTP\r\n"), not_tls);
  EXPECT_EQ(pair.client_reads(std::string(40, '\0')), not_tls);
}

TEST_F(ErrorTextTest, StreamsThatEndAndAlerts) {
  Pair pair(nullptr, nullptr, KeyKind::p256, "up.test");
  EXPECT_EQ(pair.server_reads(""), "EOF");
  EXPECT_EQ(pair.client_reads(""), "EOF");
  EXPECT_EQ(pair.client_reads(std::string("\x16\x03\x03", 3)), "EOF");
  const auto alert = [](char number) {
    return std::string("\x15\x03\x03\x00\x02\x02", 6) + number;
  };
  EXPECT_EQ(pair.client_reads(alert(70)), "remote error: tls: protocol version not supported");
  EXPECT_EQ(pair.client_reads(alert(40)), "remote error: tls: handshake failure");
  EXPECT_EQ(pair.client_reads(alert(112)), "remote error: tls: unrecognized name");
  EXPECT_EQ(pair.client_reads(alert(80)), "remote error: tls: internal error");
}

TEST_F(ErrorTextTest, NamesOfAlerts) {
  EXPECT_EQ(alert_text(20), "bad record MAC");
  EXPECT_EQ(alert_text(48), "unknown certificate authority");
  EXPECT_EQ(alert_text(115), "unknown PSK identity");
  EXPECT_EQ(alert_text(200), "alert(200)");
}

/// What the client says of `up.test`, asked for `host`, when it trusts `root` only.
std::string text_beside(X509* root, X509* also_sent, const std::string& host) {
  CertificateSpec authority;
  authority.subject_key_identifier = false;
  const CertificatePtr issuer = test::make_certificate(authority);
  CertificateSpec spec;
  spec.common_name = "up.test";
  spec.basic_constraints = "";
  spec.key_usage = "critical,digitalSignature";
  spec.subject_key_identifier = false;
  spec.subject_alternative_name = "DNS:up.test";
  const CertificatePtr leaf = test::make_certificate(spec, issuer.get());
  Pair pair(root != nullptr ? root : issuer.get(), leaf, KeyKind::p256, host);
  if (also_sent != nullptr) pair.also_sends(also_sent);
  pair.connect();
  return pair.client_text;
}

TEST(ErrorTextOfKeysNobodyReads, TheyDoNotHideWhatIsWrong) {
  CertificateSpec spec;
  spec.key = KeyKind::sm2;
  spec.subject_key_identifier = false;
  const CertificatePtr signer = test::make_certificate({});
  const CertificatePtr unreadable = test::make_certificate(spec, signer.get());
  EXPECT_EQ(text_beside(nullptr, unreadable.get(), "up.test"), "");
  EXPECT_EQ(text_beside(nullptr, unreadable.get(), "other.test"),
            "tls: failed to verify certificate: x509: certificate is valid for up.test, not "
            "other.test");
  EXPECT_EQ(text_beside(unreadable.get(), nullptr, "up.test"),
            "tls: failed to verify certificate: x509: certificate signed by unknown authority");
}

}  // namespace
}  // namespace iron::tls
