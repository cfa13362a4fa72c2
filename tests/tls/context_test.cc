#include "tls/context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <string>

#include "tests/tls/stream_pair.h"
#include "tls/stream.h"

namespace iron::tls {
namespace {

using test::Authority;
using test::PlainClient;
using testing::HasSubstr;

constexpr int kUnrecognizedName = 112, kInternalError = 80, kProtocolVersion = 70,
              kHandshakeFailure = 40;

/// What a handshake came to.
struct Shaken {
  test::Outcome outcome;
  bool resumed = false;
  std::string server_name, sni, server_error, client_error;
};

class Contexts : public testing::Test {
 protected:
  /// A handshake of two Streams; with `answer` the client reads, so that tickets arrive.
  Shaken shake(const std::string& host,
               SSL_SESSION* resume = nullptr,
               int version = TLS1_3_VERSION,
               bool is_address = false,
               const std::string& fallback = {}) {
    const auto ends = test::connected_pair();
    Stream server(ends.first), client(ends.second);
    server.start_server(*context_, authority_.leaves(), fallback);
    EXPECT_TRUE(client.start_client(upstream_, host, is_address, resume, sessions_));
    SSL_SESSION_free(resume);
    SSL_set_max_proto_version(client.ssl(), version);
    Shaken shaken;
    shaken.outcome = test::shake(server, client, authority_.leaves());
    shaken.server_name = server.server_name();
    shaken.sni = server.sni();
    if (shaken.outcome.server == Io::error) shaken.server_error = server.handshake_error();
    if (shaken.outcome.client == Io::error) shaken.client_error = client.handshake_error();
    if (shaken.outcome.client != Io::ok || shaken.outcome.server != Io::ok) return shaken;
    EXPECT_EQ(SSL_version(client.ssl()), version);
    shaken.resumed = SSL_session_reused(client.ssl()) == 1;
    EXPECT_EQ(SSL_session_reused(server.ssl()) == 1, shaken.resumed);
    test::write_everything(server, "x");
    EXPECT_EQ(test::read_exactly(client, 1), "x");
    server.end_writing();
    client.end_writing();
    return shaken;
  }
  void expect_good(const Shaken& shaken) {
    EXPECT_EQ(shaken.outcome.server, Io::ok) << shaken.server_error;
    EXPECT_EQ(shaken.outcome.client, Io::ok) << shaken.client_error;
  }

  /// A handshake with a client that is prepared by `prepare`; the alert it got, or -1.
  template <class Prepare>
  int alert_for(Prepare prepare, const std::string& fallback = {}, std::string* error = nullptr) {
    const auto ends = test::connected_pair();
    Stream server(ends.first);
    PlainClient client(ends.second);
    server.start_server(*context_, authority_.leaves(), fallback);
    prepare(client);
    const test::Outcome outcome = client.shake_with(server, authority_.leaves());
    if (error != nullptr && outcome.server == Io::error) *error = server.handshake_error();
    if (outcome.server == Io::ok) {
      EXPECT_EQ(outcome.client, Io::ok);
      EXPECT_EQ(client.alert(), -1);
    }
    return client.alert();
  }
  int alert_for_sni(const std::string& name, std::string* error = nullptr) {
    return alert_for([&name](PlainClient& client) { client.set_sni(name); }, {}, error);
  }

  Authority authority_;
  std::unique_ptr<ServerContext> context_ = std::make_unique<ServerContext>();
  UpstreamContext upstream_{authority_.trust()};
  std::shared_ptr<SessionStore> sessions_ = std::make_shared<SessionStore>();
};

// Tickets.

class Tickets : public Contexts, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(
    Versions, Tickets, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION), [](const auto& version) {
      return version.param == TLS1_2_VERSION ? std::string("Tls12") : std::string("Tls13");
    });

TEST_P(Tickets, ResumeTheSameName) {
  expect_good(shake("a.test", nullptr, GetParam()));
  SSL_SESSION* ticket = sessions_->take();
  ASSERT_NE(ticket, nullptr);
  const Shaken again = shake("a.test", ticket, GetParam());
  expect_good(again);
  EXPECT_TRUE(again.resumed);
  EXPECT_EQ(again.server_name, "a.test");
  EXPECT_EQ(again.sni, "a.test");
}

TEST_P(Tickets, DoNotResumeAnotherName) {
  expect_good(shake("a.test", nullptr, GetParam()));
  SSL_SESSION* ticket = sessions_->take();
  ASSERT_NE(ticket, nullptr);
  const Shaken other = shake("b.test", ticket, GetParam());
  expect_good(other);
  EXPECT_FALSE(other.resumed);
  EXPECT_EQ(other.server_name, "b.test");
}

TEST_P(Tickets, DoNotResumeUnderAnotherContext) {
  expect_good(shake("a.test", nullptr, GetParam()));
  SSL_SESSION* ticket = sessions_->take();
  ASSERT_NE(ticket, nullptr);
  context_ = std::make_unique<ServerContext>();
  const Shaken other = shake("a.test", ticket, GetParam());
  expect_good(other);
  EXPECT_FALSE(other.resumed);
}

TEST_P(Tickets, OfAnAbandonedConnectionAreNotUsed) {
  const auto ends = test::connected_pair();
  SSL_SESSION* ticket = nullptr;
  {
    Stream server(ends.first), client(ends.second);
    server.start_server(*context_, authority_.leaves(), {});
    ASSERT_TRUE(client.start_client(upstream_, "a.test", false, nullptr, sessions_));
    SSL_set_max_proto_version(client.ssl(), GetParam());
    test::shake(server, client, authority_.leaves());
    test::write_everything(server, "x");
    EXPECT_EQ(test::read_exactly(client, 1), "x");
    ticket = sessions_->take();
    ASSERT_NE(ticket, nullptr);
    client.abandon();
  }
  EXPECT_EQ(SSL_SESSION_is_resumable(ticket), 0);
  SSL_SESSION_free(ticket);
}

TEST_F(Contexts, ASessionStoreKeepsTheNewestFour) {
  std::array<SSL_SESSION*, 6> made{};
  for (SSL_SESSION*& session : made) {
    session = SSL_SESSION_new();
    SSL_SESSION_up_ref(session);
    sessions_->put(session);
  }
  for (int newest : {5, 4, 3, 2}) {
    SSL_SESSION* session = sessions_->take();
    EXPECT_EQ(session, made[static_cast<std::size_t>(newest)]);
    SSL_SESSION_free(session);
  }
  EXPECT_EQ(sessions_->take(), nullptr);
  for (SSL_SESSION* session : made) SSL_SESSION_free(session);
}

// Names.

TEST_F(Contexts, NamesAreFolded) {
  std::string error;
  for (const char* name : {"h.test", "H.TEST", "h.test.", "a_b-c.x9.test", "localhost"}) {
    const auto ends = test::connected_pair();
    Stream server(ends.first);
    PlainClient client(ends.second);
    client.set_sni(name);
    server.start_server(*context_, authority_.leaves(), {});
    const test::Outcome outcome = client.shake_with(server, authority_.leaves());
    EXPECT_EQ(outcome.server, Io::ok) << name;
    EXPECT_EQ(server.sni(), name) << "as sent";
    std::string folded = name;
    std::ranges::transform(folded, folded.begin(), [](unsigned char c) { return std::tolower(c); });
    if (folded.back() == '.') folded.pop_back();
    EXPECT_EQ(server.server_name(), folded);
  }
}

TEST_F(Contexts, HostileNamesGetAnAlert) {
  for (const std::string& name :
       {std::string("a b.test"), std::string("*.test"), std::string("h.test/x"),
        std::string("h.test:443"), std::string("h\xc3\xa9.test"), std::string("h.test\r\nX: y"),
        std::string("\"h.test\""), std::string("h.test,CN=evil"), std::string("."),
        std::string(254, 'a'), std::string("[::1]"), std::string("h@test"),
        std::string("h%00.test"), std::string("\x01")}) {
    std::string error;
    EXPECT_EQ(alert_for_sni(name, &error), kUnrecognizedName) << testing::PrintToString(name);
    EXPECT_EQ(error, "tls: server name is not acceptable") << testing::PrintToString(name);
  }
}

TEST_F(Contexts, WithoutANameTheHandshakeNeedsAFallback) {
  std::string error;
  EXPECT_EQ(alert_for([](PlainClient&) {}, {}, &error), kInternalError);
  EXPECT_EQ(error, "no SNI provided");
  EXPECT_EQ(alert_for([](PlainClient&) {}, "h.test"), -1);
}

TEST_F(Contexts, AFallbackMayBeAnAddress) {
  const Shaken shaken = shake("127.0.0.1", nullptr, TLS1_3_VERSION, true, "127.0.0.1");
  expect_good(shaken);
  EXPECT_EQ(shaken.sni, "") << "addresses are not sent as SNI";
  EXPECT_EQ(shaken.server_name, "127.0.0.1");
  expect_good(shake("::1", nullptr, TLS1_3_VERSION, true, "::1"));
}

TEST_F(Contexts, ANameGoesBeforeTheFallback) {
  const Shaken shaken = shake("h.test", nullptr, TLS1_3_VERSION, false, "tunnel.test");
  expect_good(shaken);
  EXPECT_EQ(shaken.server_name, "h.test");
}

TEST_F(Contexts, AFailedMintingEndsTheHandshake) {
  const auto ends = test::connected_pair();
  Stream server(ends.first);
  PlainClient client(ends.second);
  client.set_sni("h.test");
  server.start_server(*context_, authority_.leaves(), {});
  EXPECT_EQ(SSL_do_handshake(client.ssl()), -1);
  test::await_readable(server.descriptor());
  ASSERT_EQ(server.handshake().status, Io::want_leaf);
  server.refuse_leaf("generating cert for h.test: no");
  EXPECT_EQ(server.handshake().status, Io::error);
  EXPECT_EQ(server.handshake_error(), "generating cert for h.test: no");
  test::await_readable(ends.second);
  EXPECT_EQ(SSL_do_handshake(client.ssl()), -1);
  EXPECT_EQ(client.alert(), kInternalError);
}

// Versions, suites, protocols.

TEST_F(Contexts, OldVersionsAreRefused) {
  const auto at_most = [](int version) {
    return [version](PlainClient& client) {
      client.set_sni("h.test");
      SSL_set_max_proto_version(client.ssl(), version);
    };
  };
  EXPECT_EQ(alert_for(at_most(TLS1_1_VERSION)), kProtocolVersion);
  EXPECT_EQ(alert_for(at_most(TLS1_2_VERSION)), -1);
  EXPECT_EQ(alert_for(at_most(TLS1_3_VERSION)), -1);
}

TEST_F(Contexts, OnlyAeadSuitesAreTaken) {
  const auto with_suites = [](const char* list) {
    return [list](PlainClient& client) {
      client.set_sni("h.test");
      SSL_set_max_proto_version(client.ssl(), TLS1_2_VERSION);
      EXPECT_EQ(SSL_set_cipher_list(client.ssl(), list), 1) << list;
    };
  };
  for (const char* good : {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                           "ECDHE-ECDSA-CHACHA20-POLY1305"}) {
    EXPECT_EQ(alert_for(with_suites(good)), -1) << good;
  }
  for (const char* bad : {"ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "AES128-SHA",
                          "AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"}) {
    EXPECT_EQ(alert_for(with_suites(bad)), kHandshakeFailure) << bad;
  }
}

TEST_F(Contexts, Http11IsSelectedWhereItIsOffered) {
  const auto selected = [this](std::string offer) {
    const auto ends = test::connected_pair();
    Stream server(ends.first);
    PlainClient client(ends.second);
    client.set_sni("h.test");
    SSL_set_alpn_protos(client.ssl(), reinterpret_cast<const unsigned char*>(offer.data()),
                        static_cast<unsigned>(offer.size()));
    server.start_server(*context_, authority_.leaves(), {});
    EXPECT_EQ(client.shake_with(server, authority_.leaves()).client, Io::ok);
    const unsigned char* name = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(client.ssl(), &name, &size);
    return std::string(reinterpret_cast<const char*>(name), size);
  };
  EXPECT_EQ(selected("\x02h2\x08http/1.1"), "http/1.1");
  EXPECT_EQ(selected("\x08http/1.1"), "http/1.1");
  EXPECT_EQ(selected("\x02h2"), "");
  EXPECT_EQ(selected("\x08HTTP/1.1"), "");
}

// Origins from before RFC 5746.

/// What came is judged after it was hashed: a server that does not know the signal for secure
/// renegotiation (`00 ff` among the suites of the hello).
void hide_renegotiation_signal(
    int written, int, int type, const void* bytes, std::size_t size, SSL*, void*) {
  constexpr std::size_t kBeforeSession = 4 + 2 + 32;  // header, version, random
  const auto* hello = static_cast<const unsigned char*>(bytes);
  if (written != 0 || type != SSL3_RT_HANDSHAKE || hello[0] != SSL3_MT_CLIENT_HELLO) return;
  const std::size_t suites = kBeforeSession + 1 + hello[kBeforeSession];
  const std::size_t end = suites + 2 + (std::size_t{hello[suites]} << 8 | hello[suites + 1]);
  ASSERT_LE(end, size);
  for (std::size_t at = suites + 2; at < end; at += 2) {
    if (hello[at] == 0 && hello[at + 1] == 0xff) const_cast<unsigned char*>(hello)[at] = 0x5a;
  }
}

TEST_F(Contexts, OriginsWithoutSecureRenegotiationAreServed) {
  const auto ends = test::connected_pair();
  Stream server(ends.first), client(ends.second);
  server.start_server(*context_, authority_.leaves(), {});
  SSL_set_msg_callback(server.ssl(), hide_renegotiation_signal);
  ASSERT_TRUE(client.start_client(upstream_, "h.test", false, nullptr, sessions_));
  SSL_set_max_proto_version(client.ssl(), TLS1_2_VERSION);
  const test::Outcome outcome = test::shake(server, client, authority_.leaves());
  ASSERT_EQ(outcome.client, Io::ok) << client.handshake_error();
  EXPECT_EQ(outcome.server, Io::ok);
  EXPECT_EQ(SSL_get_secure_renegotiation_support(client.ssl()), 0) << "or the test is none";
  test::write_everything(client, "question");
  EXPECT_EQ(test::read_exactly(server, 8), "question");
  EXPECT_NE(SSL_renegotiate(client.ssl()), 1) << "this side never begins another handshake";
  EXPECT_EQ(SSL_CTX_get_options(context_->get()) & SSL_OP_LEGACY_SERVER_CONNECT, 0u);
}

// The upstream's certificate.

TEST_F(Contexts, AnUnknownAuthorityIsRefused) {
  Authority other("Another CA");
  const auto ends = test::connected_pair();
  Stream server(ends.first), client(ends.second);
  server.start_server(*context_, other.leaves(), {});
  ASSERT_TRUE(client.start_client(upstream_, "h.test", false, nullptr, sessions_));
  EXPECT_EQ(test::shake(server, client, other.leaves()).client, Io::error);
  EXPECT_THAT(client.handshake_error(), HasSubstr("x509"));
}

TEST_F(Contexts, AnotherNameIsRefused) {
  // A client without SNI gets the certificate of the fallback.
  const auto ends = test::connected_pair();
  Stream server(ends.first), client(ends.second);
  server.start_server(*context_, authority_.leaves(), "other.test");
  ASSERT_TRUE(client.start_client(upstream_, "h.test", false, nullptr, sessions_));
  SSL_set_tlsext_host_name(client.ssl(), nullptr);
  EXPECT_EQ(test::shake(server, client, authority_.leaves()).client, Io::error);
  EXPECT_THAT(client.handshake_error(), HasSubstr("h.test"));
}

TEST_F(Contexts, AnotherAddressIsRefused) {
  EXPECT_EQ(shake("127.0.0.1", nullptr, TLS1_3_VERSION, true, "127.0.0.2").outcome.client,
            Io::error);
  EXPECT_EQ(shake("127.0.0.1", nullptr, TLS1_3_VERSION, true, "h.test").outcome.client, Io::error);
}

TEST_F(Contexts, AnAddressThatIsNoneFailsBeforeAnything) {
  const auto ends = test::connected_pair();
  Stream server(ends.first), client(ends.second);
  EXPECT_FALSE(client.start_client(upstream_, "not-an-address", true, nullptr, sessions_));
}

}  // namespace
}  // namespace iron::tls
