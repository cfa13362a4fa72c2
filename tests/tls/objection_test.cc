#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "tests/tls/stream_pair.h"
#include "tls/error_text.h"
#include "tls/stream.h"

namespace iron::tls {
namespace {

using test::PlainClient;
using Said = std::optional<std::string>;

/// What a client's alert or end says of our certificate.
class Objection : public testing::Test, public testing::WithParamInterface<int> {
 protected:
  Objection() {
    server_ = std::make_unique<Stream>(ends_.first);
    client_ = std::make_unique<PlainClient>(ends_.second);
    client_->set_sni("h.test");
    SSL_set_max_proto_version(client_->ssl(), GetParam());
    server_->start_server(context_, authority_.leaves(), {});
  }
  /// The server's steps until it waits for the client or has failed.
  Io serve() {
    while (true) {
      const IoResult result = server_->handshake();
      if (result.status != Io::want_leaf) return result.status;
      server_->set_leaf(*test::request_and_wait(authority_.leaves(), server_->server_name()));
    }
  }
  /// The hello is sent.
  void say_hello() { EXPECT_EQ(SSL_do_handshake(client_->ssl()), -1); }
  /// The hello is answered, the client has not read it yet.
  void answer_hello() {
    say_hello();
    test::await_readable(ends_.first);
    EXPECT_EQ(serve(), Io::want_read);
    test::await_readable(ends_.second);
  }
  /// What the server makes of what the client did.
  Io serve_what_came() {
    test::await_readable(ends_.first);
    return serve();
  }
  void reset() const {
    const linger hard{1, 0};
    ::setsockopt(ends_.second, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }

  test::Authority authority_;
  ServerContext context_;
  std::pair<int, int> ends_ = test::connected_pair();
  std::unique_ptr<Stream> server_;
  std::unique_ptr<PlainClient> client_;
};

INSTANTIATE_TEST_SUITE_P(
    Versions, Objection, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION), [](const auto& version) {
      return version.param == TLS1_2_VERSION ? std::string("Tls12") : std::string("Tls13");
    });

TEST_P(Objection, AnAlertIsNamed) {
  SSL_set_verify(client_->ssl(), SSL_VERIFY_PEER, nullptr);
  answer_hello();
  EXPECT_EQ(server_->objection(), Said("none")) << "were it waited for in vain";
  EXPECT_EQ(SSL_do_handshake(client_->ssl()), -1);
  EXPECT_EQ(serve_what_came(), Io::error);
  EXPECT_EQ(server_->alert(), SSL_AD_UNKNOWN_CA);
  EXPECT_EQ(server_->objection(), Said("unknown certificate authority"));
  EXPECT_EQ(server_->handshake_error(), "remote error: tls: unknown certificate authority");
}

TEST_P(Objection, AnEndWithoutAnAlertIsNone) {
  for (const bool hard : {false, true}) {
    SCOPED_TRACE(hard ? "reset" : "end");
    if (hard) {
      ends_ = test::connected_pair();
      server_ = std::make_unique<Stream>(ends_.first);
      client_ = std::make_unique<PlainClient>(ends_.second);
      client_->set_sni("h.test");
      SSL_set_max_proto_version(client_->ssl(), GetParam());
      server_->start_server(context_, authority_.leaves(), {});
    }
    answer_hello();
    if (hard) reset();
    client_.reset();
    const Io end = serve_what_came();
    EXPECT_TRUE(end == Io::eof || end == Io::error);
    EXPECT_EQ(server_->objection(), Said("none"));
  }
}

TEST_P(Objection, NothingBeforeTheCertificateWasSent) {
  say_hello();
  EXPECT_EQ(server_->objection(), std::nullopt) << "the hello was not read";
  client_.reset();  // both are there when the server looks: the hello and the end
  test::await_readable(ends_.first);
  EXPECT_NE(serve(), Io::want_read);
  EXPECT_EQ(server_->objection(), std::nullopt);
}

TEST_P(Objection, NothingWhenTheClientResetsBeforeTheCertificateWasSent) {
  say_hello();
  reset();
  client_.reset();
  test::await_readable(ends_.first);
  EXPECT_EQ(serve(), Io::error);
  EXPECT_EQ(server_->objection(), std::nullopt);
}

TEST_P(Objection, NothingForBytesThatAreNoTls) {
  answer_hello();
  ASSERT_EQ(::send(ends_.second, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
  EXPECT_EQ(serve_what_came(), Io::error);
  EXPECT_EQ(server_->alert(), std::nullopt);
  EXPECT_EQ(server_->objection(), std::nullopt);
}

TEST_P(Objection, NothingFromAClientThatFinished) {
  answer_hello();
  EXPECT_EQ(SSL_do_handshake(client_->ssl()), GetParam() == TLS1_3_VERSION ? 1 : -1);
  EXPECT_EQ(serve_what_came(), Io::ok);
  EXPECT_EQ(server_->objection(), std::nullopt);
  client_.reset();
  std::array<char, 16> room{};
  EXPECT_NE(test::read_settled(*server_, room).status, Io::ok);
  EXPECT_EQ(server_->objection(), std::nullopt);
}

/// A HelloRetryRequest is of TLS 1.3 alone.
class RetriedHello : public Objection {};
INSTANTIATE_TEST_SUITE_P(Tls13, RetriedHello, testing::Values(TLS1_3_VERSION));

TEST_P(RetriedHello, NothingFromAClientThatWantsAnotherKeyShare) {
  // The first group is one that the server has not: it answers with a HelloRetryRequest.
  ASSERT_EQ(SSL_set1_groups_list(client_->ssl(), "X448:P-256"), 1);
  answer_hello();
  EXPECT_EQ(server_->objection(), std::nullopt);
  client_.reset();
  EXPECT_NE(serve_what_came(), Io::ok);
  EXPECT_EQ(server_->objection(), std::nullopt);
}

TEST_P(Objection, NothingWhereASessionIsResumed) {
  UpstreamContext upstream(authority_.trust());
  const auto sessions = std::make_shared<SessionStore>();
  for (const bool resumed : {false, true}) {
    const auto ends = test::connected_pair();
    Stream server(ends.first);
    auto client = std::make_unique<Stream>(ends.second);
    server.start_server(context_, authority_.leaves(), {});
    SSL_SESSION* session = sessions->take();
    ASSERT_EQ(session != nullptr, resumed);
    ASSERT_TRUE(client->start_client(upstream, "h.test", false, session, sessions));
    SSL_SESSION_free(session);
    SSL_set_max_proto_version(client->ssl(), GetParam());
    if (!resumed) {
      EXPECT_EQ(test::shake(server, *client, authority_.leaves()).server, Io::ok);
      test::write_everything(server, "x");
      EXPECT_EQ(test::read_exactly(*client, 1), "x");
      continue;
    }
    EXPECT_EQ(client->handshake().status, Io::want_read);
    test::await_readable(ends.first);
    EXPECT_EQ(server.handshake().status, Io::want_read);
    client.reset();
    test::await_readable(ends.first);
    EXPECT_NE(server.handshake().status, Io::ok);
    EXPECT_EQ(server.objection(), std::nullopt) << "it saw no certificate";
  }
}

/// Alerts that come when the handshake is over for the one who reads them.
TEST(AlertBehindTheHandshake, IsKept) {
  const struct {
    int verdict;  ///< of the server about the client's certificate; 0: it sends none
    int alert;
  } rows[] = {{0, SSL_AD_CERTIFICATE_REQUIRED},
              {X509_V_ERR_CERT_REJECTED, SSL_AD_BAD_CERTIFICATE},
              {X509_V_ERR_INVALID_PURPOSE, SSL_AD_UNSUPPORTED_CERTIFICATE},
              {X509_V_ERR_CERT_REVOKED, SSL_AD_CERTIFICATE_REVOKED},
              {X509_V_ERR_CERT_HAS_EXPIRED, SSL_AD_CERTIFICATE_EXPIRED},
              {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, SSL_AD_UNKNOWN_CA},
              {X509_V_ERR_CERT_SIGNATURE_FAILURE, SSL_AD_DECRYPT_ERROR},
              {X509_V_ERR_APPLICATION_VERIFICATION, SSL_AD_HANDSHAKE_FAILURE}};
  test::Authority authority;
  ServerContext context;
  UpstreamContext upstream(authority.trust());
  for (const auto& row : rows) {
    SCOPED_TRACE(row.alert);
    const auto ends = test::connected_pair();
    Stream server(ends.first), client(ends.second);
    server.start_server(context, authority.leaves(), {});
    SSL_set_verify(server.ssl(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                   [](int, X509_STORE_CTX*) { return 0; });
    const test::TemporaryDirectory directory;
    ASSERT_TRUE(
        client.start_client(upstream, "h.test", false, nullptr, std::weak_ptr<SessionStore>()));
    if (row.verdict != 0) {
      const auto leaf = *test::request_and_wait(authority.leaves(), "client.test");
      ASSERT_TRUE(leaf->use_on(client.ssl()));
      static int verdict = 0;
      verdict = row.verdict;
      SSL_set_verify(server.ssl(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                     [](int, X509_STORE_CTX* chain) {
                       X509_STORE_CTX_set_error(chain, verdict);
                       return 0;
                     });
    }
    EXPECT_EQ(client.handshake().status, Io::want_read);
    test::await_readable(ends.first);
    while (server.handshake().status == Io::want_leaf) {
      server.set_leaf(*test::request_and_wait(authority.leaves(), server.server_name()));
    }
    test::await_readable(ends.second);
    ASSERT_EQ(client.handshake().status, Io::ok) << "over for the client";
    EXPECT_EQ(client.alert(), std::nullopt);
    test::await_readable(ends.first);
    EXPECT_EQ(server.handshake().status, Io::error);
    std::array<char, 16> room{};
    EXPECT_EQ(test::read_settled(client, room).status, Io::error);
    EXPECT_EQ(client.alert(), row.alert);
    EXPECT_EQ(client.objection(), std::nullopt) << "of servers only";
    EXPECT_EQ(test::read_settled(client, room).status, Io::error);
    EXPECT_EQ(client.alert(), row.alert) << "it stays";
  }
}

/// A client that has finished and looks at our certificate only then.
TEST(ObjectionBehindTheHandshake, OnlyAlertsAboutCertificatesCount) {
  const struct {
    int alert;
    bool about;
  } rows[] = {{SSL_AD_BAD_CERTIFICATE, true},       {SSL_AD_UNSUPPORTED_CERTIFICATE, true},
              {SSL_AD_CERTIFICATE_REVOKED, true},   {SSL_AD_CERTIFICATE_EXPIRED, true},
              {SSL_AD_CERTIFICATE_UNKNOWN, true},   {SSL_AD_UNKNOWN_CA, true},
              {SSL_AD_ACCESS_DENIED, false},        {SSL_AD_DECRYPT_ERROR, false},
              {SSL_AD_INTERNAL_ERROR, false},       {SSL_AD_UNEXPECTED_MESSAGE, false},
              {SSL_AD_CERTIFICATE_REQUIRED, false}, {SSL_AD_BAD_RECORD_MAC, false}};
  for (const auto& row : rows) EXPECT_EQ(is_about_certificates(row.alert), row.about) << row.alert;
}

}  // namespace
}  // namespace iron::tls
