#include "proxy/client/client_session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "tests/proxy/client_hello.h"
#include "tests/proxy/peer_stream.h"
#include "tests/proxy/session_script.h"

namespace iron::proxy::test {
namespace {

using namespace std::chrono_literals;
using Kind = Step::Kind;

Script at(Entry entry, std::vector<Step> steps) {
  return {.steps = std::move(steps), .entry = entry};
}

const std::vector<Row> kFirstBytes = {
    {"the port for HTTP: nothing",
     at(Entry::http, {pass(45s)}),
     {"client: [end]", "origin: ", "session: gone"}},
    {"the port for tunnels: nothing, not yet",
     at(Entry::tunnel, {pass(44s)}),
     {"client: ", "origin: ", "session: open"}},
    {"the port for tunnels: nothing",
     at(Entry::tunnel, {pass(45s)}),
     {"client: [end]", "origin: ", "session: gone"}},
    {"the port for TLS: nothing, not yet",
     at(Entry::https, {pass(44s)}),
     {"client: ", "origin: ", "session: open"}},
    {"the port for TLS: nothing",
     at(Entry::https, {pass(45s)}),
     {"client: [end]", "origin: ", "session: gone"}},
    {"the port for tunnels: a client that says nothing and leaves",
     at(Entry::tunnel, {happens(Kind::client_finishes)}),
     {"client: [end]", "origin: ", "session: gone"}},
    {"the port for tunnels: the drain, before a byte",
     at(Entry::tunnel, {happens(Kind::drain)}),
     {"client: [end]", "origin: [end]", "session: gone"}},
    {"the port for TLS: the drain, before a byte",
     at(Entry::https, {happens(Kind::drain)}),
     {"client: [end]", "origin: [end]", "session: gone"}},
    {"the port for TLS: the cut",
     at(Entry::https, {happens(Kind::cut)}),
     {"client: [end]", "origin: ", "session: gone"}},
    {"the port for TLS: HTTP in the clear",
     at(Entry::https, {client("GET / HTTP/1.1|Host: h.test||"), happens(Kind::client_finishes)}),
     {"client: HTTP/1.0 400 Bad Request||Client sent an HTTP request to an HTTPS server.<0a>[end]",
      "origin: ", "session: gone"}},
    {"the port for tunnels: no tunnel, but absolute form",
     at(Entry::tunnel, {client("GET http://10.0.0.1/a HTTP/1.1|" + kHost + "|"), origin(kOk)}),
     {"client: " + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/2",
      "session: open"}},
    {"the port for tunnels: no tunnel",
     at(Entry::tunnel, {client(kGet)}),
     {"client: HTTP/1.1 405 Method Not Allowed||[end]",
      "origin: ", "record: reject 405 0/0 by protocol: method not allowed here", "session: open"}},
    {"the port for tunnels: no HTTP",
     at(Entry::tunnel, {client("nonsense||")}),
     {"client: [end]", "origin: ", "session: open"}},
};

TEST(ClientSession, TheFirstBytesDecideWhatIsSpoken) { expect_rows(kFirstBytes); }

class ClientSessionTest : public testing::Test {
 protected:
  SessionRig rig_;
};

TEST_F(ClientSessionTest, WhoeverEndsGivesItsPlaceBack) {
  rig_.services().gate.set_limits(1, 0);
  for (int i = 0; i < 3; ++i) {
    ScriptedPeer& client = rig_.connect();
    rig_.settle();
    EXPECT_EQ(rig_.sessions(), 1u);
    EXPECT_FALSE(rig_.services().gate.enter(policy::IpAddress::v4({192, 0, 2, 1})));
    client.close();
    rig_.settle();
    EXPECT_EQ(rig_.sessions(), 0u);
  }
  rig_.services().gate.set_limits(64, 64);
  EXPECT_EQ(rig_.leftovers(), "");
}

TEST_F(ClientSessionTest, AConnectionThatCannotBeServedIsClosedAndGivesItsPlaceBack) {
  const policy::IpAddress address = policy::IpAddress::v4({192, 0, 2, 1});
  rig_.services().gate.set_limits(1, 1);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(rig_.services().gate.enter(address)) << i;
    // The loop has no place for it.
    const int file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ClientSession::launch(rig_.site(), BoundSocket(::fcntl(file, F_DUPFD_CLOEXEC, 0)), Entry::http,
                          Peer{address, 5000});
    ::close(file);
    EXPECT_EQ(rig_.sessions(), 0u);
  }
  const std::string notes = rig_.notes();
  EXPECT_NE(notes.find("session failed"), notes.npos) << notes;
  rig_.services().gate.set_limits(64, 64);
}

TEST_F(ClientSessionTest, ASessionUnderTlsSaysSoInItsRecords) {
  rig_.secure();
  PeerStream client(rig_, rig_.connect(Entry::https));
  client.secure_as_client("h.test");
  client.write_all("GET / HTTP/1.1\r\nHost: h.test\r\n\r\n");
  rig_.settle();
  ASSERT_EQ(rig_.records().size(), 1u);
  EXPECT_EQ(rig_.records()[0].text(), "reject 403 0/0 by allowlist");
  EXPECT_EQ(rig_.records()[0].host, "h.test");
}

TEST_F(ClientSessionTest, AHandshakeHasItsTime) {
  rig_.secure();
  ScriptedPeer& client = rig_.connect(Entry::https);
  client.send(client_hello("h.test"));
  rig_.settle();
  EXPECT_FALSE(client.received().empty()) << "our side of it";
  rig_.advance(9900ms);
  EXPECT_EQ(rig_.sessions(), 1u);
  rig_.advance(200ms);
  EXPECT_EQ(rig_.sessions(), 0u);
  EXPECT_TRUE(rig_.records().empty());
  const std::string notes = rig_.notes();
  EXPECT_NE(notes.find("\"tls handshake error\""), notes.npos);
  EXPECT_NE(notes.find("\"error\":\"handshake timeout\""), notes.npos);
}

TEST_F(ClientSessionTest, WhatIsNoTlsIsNamed) {
  rig_.secure();
  rig_.connect(Entry::https).send("\x01\x02\x03\x04\x05\x06\x07\x08");
  rig_.settle();
  EXPECT_EQ(rig_.sessions(), 0u);
  const std::string notes = rig_.notes();
  EXPECT_NE(notes.find("tls: first record does not look like a TLS handshake"), notes.npos);
}

/// A client that trusts nobody.
struct Distrusting {
  explicit Distrusting(const char* name) : context(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    ssl = SSL_new(context);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_tlsext_host_name(ssl, name);
  }
  ~Distrusting() {
    SSL_free(ssl);
    SSL_CTX_free(context);
  }
  Distrusting(const Distrusting&) = delete;
  Distrusting& operator=(const Distrusting&) = delete;
  /// What it has to say to `bytes`.
  std::string answer(std::string_view bytes) {
    BIO_write(SSL_get_rbio(ssl), bytes.data(), static_cast<int>(bytes.size()));
    SSL_connect(ssl);
    char* data = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(ssl), &data);
    std::string said(data, static_cast<std::size_t>(size));
    BIO_reset(SSL_get_wbio(ssl));
    return said;
  }
  SSL_CTX* context;
  SSL* ssl;
};

TEST_F(ClientSessionTest, AClientThatRefusesTheCertificateIsToldOf) {
  rig_.secure();
  Distrusting distrusting("h.test");
  ScriptedPeer& client = rig_.connect(Entry::https);
  client.send(distrusting.answer(""));
  rig_.settle();
  client.send(distrusting.answer(client.take()));
  rig_.settle();
  EXPECT_EQ(rig_.sessions(), 0u);
  const std::string notes = rig_.notes();
  EXPECT_NE(notes.find("client does not trust the proxy CA"), notes.npos) << notes;
  EXPECT_NE(notes.find("\"alert\":\"unknown certificate authority\""), notes.npos) << notes;
  EXPECT_NE(notes.find("\"host\":\"h.test\""), notes.npos) << notes;
}

TEST_F(ClientSessionTest, AFullLogKeepsWhoCameWaiting) {
  Log& log = rig_.services().log;
  const std::string line(1 << 20, 'x');
  for (int i = 0; i < 100 && !log.full(); ++i) log.write(Level::error, line);
  ASSERT_TRUE(log.full());
  const std::string greeting("\x05\x01\x00", 3);
  ScriptedPeer& waits = rig_.connect(Entry::tunnel);
  waits.send(greeting);
  ScriptedPeer& leaves = rig_.connect(Entry::tunnel);
  leaves.send(greeting);
  rig_.settle();
  leaves.close();
  for (int minute = 0; minute < 60; ++minute) rig_.advance(1min);
  EXPECT_EQ(waits.received(), "");
  EXPECT_EQ(rig_.sessions(), 2u) << "there is no deadline, and nobody looks";
  rig_.notes();
  ASSERT_FALSE(log.full());
  rig_.advance(1s);
  EXPECT_EQ(waits.received(), std::string("\x05\x00", 2));
  EXPECT_EQ(rig_.sessions(), 1u);
}

TEST_F(ClientSessionTest, TheCutEndsWhoWaitsForTheLog) {
  Log& log = rig_.services().log;
  const std::string line(1 << 20, 'x');
  for (int i = 0; i < 100 && !log.full(); ++i) log.write(Level::error, line);
  ASSERT_TRUE(log.full());
  rig_.connect(Entry::https).send("x");
  rig_.settle();
  EXPECT_EQ(rig_.sessions(), 1u);
  rig_.site().loop().cut_all();
  rig_.settle();
  EXPECT_EQ(rig_.sessions(), 0u);
}

}  // namespace
}  // namespace iron::proxy::test
