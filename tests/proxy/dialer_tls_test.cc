#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <chrono>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "tests/proxy/dialer_rig.h"
#include "tests/tls/stream_pair.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

/// An origin with TLS, and a trust store that knows its authority.
class DialerOverTls : public DialerTest {
 protected:
  DialerOverTls() {
    const std::string trusted =
        directory_.write("trusted.pem", tls::test::pem(authority_.certificate()));
    ::setenv("SSL_CERT_FILE", trusted.c_str(), 1);
    ::setenv("SSL_CERT_DIR", directory_.file("none").c_str(), 1);
    target_.tls = true;
  }
  ~DialerOverTls() override {
    ::unsetenv("SSL_CERT_FILE");
    ::unsetenv("SSL_CERT_DIR");
  }

  /// Until the origin has a connection. Nothing is done with it yet.
  void connect(const std::string& host = "a.test") {
    far_.reset();
    dial(host, origin_.port(), {"127.0.0.1"});
    BoundSocket accepted;
    const auto connected = [&] {
      if (accepted.get() < 0) accepted = origin_.accept();
      return accepted.get() >= 0;
    };
    ASSERT_TRUE(settle_until(connected));
    far_.emplace(accepted.release());
    // The trust store is loaded by a thread.
    ASSERT_TRUE(settle_until([this] { return tls_.get() != nullptr; }));
    loop_.turn(1s);
    settle();
  }
  /// Takes the origin's side as far as it goes, with the leaf that the hello asks for, or the one
  /// for `name`.
  void shake(tls::test::Authority& authority, const std::string& name = "") {
    far_->start_server(server_, authority.leaves(), target_.host);
    const auto give_leaf = [&](const std::string& leaf_name) {
      const auto leaf = tls::test::request_and_wait(authority.leaves(), leaf_name);
      ASSERT_TRUE(leaf.has_value());
      far_->set_leaf(*leaf);
    };
    if (!name.empty()) give_leaf(name);
    const auto step = [&] {
      if (far_->handshake().status == Io::want_leaf) give_leaf(far_->server_name());
      return over();
    };
    ASSERT_TRUE(settle_until(step));
  }

  tls::test::TemporaryDirectory directory_;
  tls::test::Authority authority_;
  const tls::ServerContext server_;
  const Origin origin_{"127.0.0.1", 0};
  std::optional<tls::Stream> far_;
};

TEST_F(DialerOverTls, TheHandshakeIsPartOfTheDial) {
  connect();
  EXPECT_FALSE(over());
  shake(authority_);
  EXPECT_EQ(result(), "connected " + origin_.address());
  tls::Stream& made = (**outcome_)->connection.stream();
  EXPECT_TRUE(made.is_tls());
  EXPECT_EQ(far_->sni(), "a.test");
  EXPECT_EQ(SSL_session_reused(made.ssl()), 0);
  // The tickets come with what is read next, and the next dial of the key has one.
  while (far_->handshake().status != Io::ok) {
  }
  tls::test::write_everything(*far_, "x");
  EXPECT_EQ(tls::test::read_exactly(made, 1), "x");
  connect();
  shake(authority_);
  ASSERT_EQ(result(), "connected " + origin_.address());
  EXPECT_EQ(SSL_session_reused((**outcome_)->connection.stream().ssl()), 1);
}

TEST_F(DialerOverTls, AnAddressIsVerifiedAndNotSentAsName) {
  connect("127.0.0.1");
  shake(authority_);
  EXPECT_EQ(result(), "connected " + origin_.address());
  EXPECT_EQ(far_->sni(), "");
}

TEST_F(DialerOverTls, WhoIsNotVerifiedIsNamedAsRecordsHaveIt) {
  connect();
  shake(authority_, "b.test");
  EXPECT_EQ(result(),
            "tls: failed to verify certificate: x509: certificate is valid for b.test, not a.test");
  tls::test::Authority stranger("Stranger");
  connect();
  shake(stranger);
  EXPECT_EQ(result(),
            "tls: failed to verify certificate: x509: certificate signed by unknown authority");
  EXPECT_EQ(pool_.sessions(key_)->take(), nullptr);
}

TEST_F(DialerOverTls, WhatIsNoHandshakeIsNamedAsRecordsHaveIt) {
  const struct {
    const char* bytes;
    const char* result;
  } rows[] = {
      {"HTTP/1.1 400 Bad Request\r\n\r\n", "tls: first record does not look like a TLS handshake"},
      {"\x15\x03\x01\x00\x02\x02\x28", "remote error: tls: handshake failure"},
      {"", "EOF"},
  };
  for (const auto& row : rows) {
    connect();
    const std::string_view bytes = row.bytes;
    const std::string_view all = bytes.starts_with('\x15') ? std::string_view(row.bytes, 7) : bytes;
    ASSERT_EQ(::send(far_->descriptor(), all.data(), all.size(), MSG_NOSIGNAL), std::ssize(all));
    ::shutdown(far_->descriptor(), SHUT_WR);
    EXPECT_EQ(result(), row.result);
  }
}

TEST_F(DialerOverTls, ASilentOneHasTenSeconds) {
  connect();
  advance(9990ms);
  EXPECT_FALSE(over());
  advance(50ms);
  EXPECT_EQ(result(), "net/http: TLS handshake timeout");
}

TEST_F(DialerOverTls, NobodyWaitsForTheHandshakeInVain) {
  connect();
  client_.gone = true;
  pause_.wake();
  settle();
  ASSERT_TRUE(over());
  EXPECT_EQ(outcome_->error().fault, Fault::client_gone);
}

TEST_F(DialerOverTls, ATunnelsBytesAreItsClients) {
  const auto run = [this]() -> Task<void> {
    const DialRequest request{deny_, target_, key_, client_, address_};
    outcome_ = co_await dialer_->dial_tcp(pause_, request);
  };
  target_.host = "127.0.0.1";
  target_.literal = policy::IpAddress::parse("127.0.0.1");
  target_.port = origin_.port();
  spawn(run());
  EXPECT_EQ(result(), "connected " + origin_.address());
  EXPECT_FALSE((**outcome_)->connection.stream().is_tls());
  EXPECT_EQ(tls_.get(), nullptr) << "no trust store is needed";
}

}  // namespace
}  // namespace iron::proxy
