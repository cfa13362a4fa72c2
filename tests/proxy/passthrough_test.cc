#include "proxy/client/passthrough.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "policy/yaml/yaml_reader.h"
#include "tests/proxy/client_hello.h"
#include "tests/proxy/peer_stream.h"
#include "tests/proxy/session_script.h"

namespace iron::proxy::test {
namespace {

using namespace std::chrono_literals;
using Kind = Step::Kind;

/// A session of `tls.mode: sni-only` that may go to pass.test.
Script sni_only(std::vector<Step> steps) {
  Script script;
  script.steps = std::move(steps);
  script.entry = Entry::https;
  script.config.tls.mode = "sni-only";
  script.config.transforms = {{"allowlist", policy::parse_yaml("domains: [pass.test]")}};
  return script;
}

/// The bytes as they are: in Step `|` would stand for a line end.
Step says(std::string bytes) { return {.kind = Kind::client_sends, .bytes = std::move(bytes)}; }

std::vector<Row> hellos() {
  const std::string hello = client_hello("pass.test");
  const std::string endless = std::string("\x16\x03\x01\x40\x00\x01\x00\xff\xff", 9);
  return {
      {"nothing", sni_only({pass(44s)}), {"client: ", "origin: ", "session: open"}},
      {"nothing in time", sni_only({pass(45s)}), {"client: [end]", "origin: ", "session: gone"}},
      {"no TLS",
       sni_only({says("GET / HTTP/1.1\r\n\r\n")}),
       {"client: [end]", "origin: ", "session: gone"}},
      {"half a hello",
       sni_only({says(hello.substr(0, 50)), pass(4900ms)}),
       {"client: ", "origin: ", "session: open"}},
      {"half a hello in time",
       sni_only({says(hello.substr(0, 50)), pass(5s)}),
       {"client: [end]", "origin: ", "session: gone"}},
      {"half a hello, and the end",
       sni_only({says(hello.substr(0, 50)), happens(Kind::client_finishes)}),
       {"client: [end]", "origin: ", "session: gone"}},
      {"a hello without end",
       sni_only({says(endless + std::string(40'000, '\0'))}),
       {"client: [reset]", "origin: ", "session: gone"}},
      {"no name",
       sni_only({says(client_hello(nullptr))}),
       {"client: [end]", "origin: ", "record: error 400 0/0: client hello missing sni",
        "session: gone"}},
      {"an address for a name",
       sni_only({says(client_hello("10.0.0.1"))}),
       {"client: [end]", "origin: ", "record: error 400 0/0: client hello missing sni",
        "session: gone"}},
      {"a port in the name",
       sni_only({says(client_hello("pass.test:443"))}),
       {"client: [end]", "origin: ", "record: error 400 0/0: client hello missing sni",
        "session: gone"}},
      {"a name that policy refuses",
       sni_only({says(client_hello("other.test"))}),
       {"client: [end]", "origin: ", "record: reject 403 0/0 by allowlist", "session: gone"}},
      {"in pieces",
       sni_only({says(client_hello("other.test").substr(0, 3)),
                 says(client_hello("other.test").substr(3))}),
       {"client: [end]", "origin: ", "record: reject 403 0/0 by allowlist", "session: gone"}},
      // The lookup of the rig is never answered.
      {"a client that waits for the dial",
       sni_only({says(hello), pass(80s)}),
       {"client: ", "origin: ", "session: open"}},
      {"a client that leaves meanwhile",
       sni_only({says(hello), happens(Kind::client_finishes)}),
       {"client: [end]", "origin: ", "record: client_cancel 200 0/0", "session: gone"}},
      {"the cut",
       sni_only({says(hello), happens(Kind::cut)}),
       {"client: [end]", "origin: ", "record: client_cancel 200 0/0", "session: gone"}},
  };
}

TEST(PassThrough, HellosAreJudgedByTheirName) { expect_rows(hellos()); }

/// A tunnel to an origin of the test that `proxy.passthrough` names.
class PassThroughTunnel : public testing::Test {
 protected:
  static policy::Config config(std::uint16_t port) {
    policy::Config config = SessionRig::usual_config();
    policy::PassThroughEntry entry;
    entry.cidr = "127.0.0.0/8";
    entry.ports = {port};
    config.proxy.passthrough = {entry};
    return config;
  }
  /// Sends the CONNECT, and `early` with it.
  void connect(std::string_view early = "") {
    client_ = &rig_->connect(Entry::tunnel, Link::tcp);
    client_->send("CONNECT " + target_ + " HTTP/1.1\r\nHost: " + target_ + "\r\n\r\n");
    client_->send(early);
  }
  /// And waits until the origin has a connection.
  void open(std::string_view early = "") {
    connect(early);
    int accepted = -1;
    ASSERT_TRUE(rig_->settle_until([&] { return (accepted = origin_listener_.accept()) >= 0; }));
    origin_ = &rig_->adopt(accepted);
    ASSERT_TRUE(rig_->settle_until([&] { return !client_->received().empty(); }));
    EXPECT_EQ(client_->take(), kEstablished);
  }
  bool comes(const ScriptedPeer& peer, std::string_view bytes) {
    return rig_->settle_until([&] { return peer.received().ends_with(bytes); });
  }
  bool ends(const ScriptedPeer& peer) {
    return rig_->settle_until([&] { return peer.end() != ScriptedPeer::End::none; });
  }
  std::vector<std::string> records() {
    std::vector<std::string> texts;
    for (const RigRecord& record : rig_->records()) texts.push_back(record.text());
    return texts;
  }
  using Texts = std::vector<std::string>;
  static constexpr std::string_view kEstablished = "HTTP/1.1 200 Connection Established\r\n\r\n";

  const Listener origin_listener_;
  const std::string target_ = "127.0.0.1:" + std::to_string(origin_listener_.port());
  std::unique_ptr<SessionRig> rig_ = std::make_unique<SessionRig>(config(origin_listener_.port()));
  ScriptedPeer* client_ = nullptr;
  ScriptedPeer* origin_ = nullptr;
};

TEST_F(PassThroughTunnel, WhoeverSpeaksFirstIsRelayed) {
  open();
  origin_->send("220 ready\r\n");
  EXPECT_TRUE(comes(*client_, "220 ready\r\n"));
  client_->send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(comes(*origin_, "GET / HTTP/1.1\r\n\r\n")) << "nobody looks inside";
  rig_->advance(1000h);
  origin_->send("late");
  EXPECT_TRUE(comes(*client_, "late")) << "nobody has to talk";
  EXPECT_EQ(records(), Texts{"allow 200 0/0"}) << "of the CONNECT";
  EXPECT_EQ(rig_->sessions(), 1u);
}

TEST_F(PassThroughTunnel, TheEndOfOneSideLeavesTheOther) {
  for (const bool client_first : {true, false}) {
    rig_ = std::make_unique<SessionRig>(config(origin_listener_.port()));
    open("early ");
    EXPECT_TRUE(comes(*origin_, "early "));
    ScriptedPeer& first = client_first ? *client_ : *origin_;
    ScriptedPeer& second = client_first ? *origin_ : *client_;
    first.finish();
    ASSERT_TRUE(ends(second));
    // The record is there before the client is told that the origin ended.
    EXPECT_EQ(records().size(), client_first ? 1u : 2u);
    rig_->advance(1h);
    second.send("more");
    EXPECT_TRUE(comes(first, "more"));
    second.finish();
    EXPECT_TRUE(ends(first));
    rig_->settle();
    EXPECT_EQ(records().back(), client_first ? "allow 200 6/4" : "allow 200 6/0");
    EXPECT_EQ(rig_->records().back().upstream, target_);
    EXPECT_EQ(rig_->records().back().host, target_);
    EXPECT_EQ(rig_->records().size(), 2u);
    EXPECT_EQ(rig_->sessions(), 0u);
  }
}

TEST_F(PassThroughTunnel, AClientThatHasSaidAllWaitsForItsAnswer) {
  connect("question");
  client_->finish();
  int accepted = -1;
  ASSERT_TRUE(rig_->settle_until([&] { return (accepted = origin_listener_.accept()) >= 0; }));
  origin_ = &rig_->adopt(accepted);
  EXPECT_TRUE(ends(*origin_));
  EXPECT_EQ(origin_->received(), "question");
  origin_->send("answer");
  EXPECT_TRUE(comes(*client_, "answer"));
}

TEST_F(PassThroughTunnel, ADialThatFailsIsRecorded) {
  const Listener* const gone = new Listener();
  const std::uint16_t port = gone->port();
  delete gone;
  const std::string at = "127.0.0.1:" + std::to_string(port);
  policy::Config denied = config(port);
  denied.proxy.upstream_deny_cidrs = {"127.0.0.1/32"};
  const struct {
    policy::Config config;
    std::string error;
  } rows[] = {
      {config(port), "connect: connection refused"},
      {denied, "denied by upstream_deny_cidrs: 127.0.0.1 in 127.0.0.1/32"},
  };
  for (const auto& row : rows) {
    rig_ = std::make_unique<SessionRig>(row.config);
    ScriptedPeer& client = rig_->connect(Entry::tunnel, Link::tcp);
    client.send("CONNECT " + at + " HTTP/1.1\r\nHost: " + at + "\r\n\r\nearly");
    EXPECT_TRUE(ends(client));
    EXPECT_EQ(client.end(), ScriptedPeer::End::eof) << "what it sent makes no reset of it";
    EXPECT_EQ(client.received(), kEstablished);
    EXPECT_EQ(records(),
              (Texts{"allow 200 0/0", "error 502 0/0: dial tcp " + at + ": " + row.error}));
  }
}

TEST_F(PassThroughTunnel, TlsForAnotherHostIsRefused) {
  open();
  client_->send(client_hello("other.test"));
  EXPECT_TRUE(ends(*client_));
  EXPECT_TRUE(ends(*origin_));
  EXPECT_EQ(origin_->received(), "");
  EXPECT_EQ(records(), (Texts{"allow 200 0/0",
                              "reject 400 0/0 by protocol: SNI is not the host of the tunnel"}));
}

TEST_F(PassThroughTunnel, AHelloHasFiveSecondsFromItsFirstByte) {
  open();
  rig_->advance(1h);
  client_->send(client_hello(nullptr).substr(0, 40));
  ASSERT_TRUE(rig_->settle_until([&] { return !client_->in_flight(); }));
  origin_->send("hello");
  EXPECT_TRUE(comes(*client_, "hello"));
  rig_->advance(4900ms);
  EXPECT_EQ(rig_->sessions(), 1u);
  rig_->advance(200ms);
  EXPECT_TRUE(ends(*client_));
  EXPECT_EQ(origin_->received(), "");
  EXPECT_EQ(records(),
            (Texts{"allow 200 0/0",
                   "reject 400 0/5 by protocol: client hello is not complete after 5s"}));
}

TEST_F(PassThroughTunnel, AHelloForTheHostOfTheTunnelPassesAsItIs) {
  open();
  const std::string hello = client_hello(nullptr);
  client_->send(hello.substr(0, 10));
  rig_->settle();
  client_->send(hello.substr(10));
  EXPECT_TRUE(comes(*origin_, hello));
}

TEST_F(PassThroughTunnel, WhoTakesNothingIsNamed) {
  open();
  client_->read(false);
  origin_->send(std::string(32 << 20, 'x'));
  std::size_t unsent = 0;
  ASSERT_TRUE(
      rig_->settle_until([&] { return std::exchange(unsent, origin_->unsent()) == unsent; }));
  rig_->advance(59s);
  EXPECT_EQ(rig_->sessions(), 1u);
  rig_->advance(2s);
  EXPECT_EQ(rig_->sessions(), 0u);
  ASSERT_EQ(records().size(), 2u);
  EXPECT_TRUE(records()[1].starts_with("allow 200 0/")) << records()[1];
  EXPECT_TRUE(
      records()[1].ends_with(": client took no byte for 1m0s (proxy.limits.stall_timeout)"));
}

TEST_F(PassThroughTunnel, TheDrainLeavesItAloneAndTheCutIsRecorded) {
  open();
  client_->send("up");
  EXPECT_TRUE(comes(*origin_, "up"));
  rig_->site().begin_drain();
  origin_->send("down");
  EXPECT_TRUE(comes(*client_, "down"));
  rig_->site().loop().cut_all();
  rig_->settle();
  EXPECT_EQ(rig_->sessions(), 0u);
  EXPECT_EQ(records(), (Texts{"allow 200 0/0", "allow 200 2/4"}));
}

/// `proxy.passthrough` on https_listen.
class PassThroughByName : public testing::Test {
 protected:
  static policy::Config config() {
    policy::Config config = SessionRig::usual_config();
    policy::PassThroughEntry entry;
    entry.host = "pass.test";
    config.proxy.passthrough = {entry};
    return config;
  }
  SessionRig rig_{config()};
};

TEST_F(PassThroughByName, ATargetIsJudgedAndNotDecrypted) {
  rig_.secure();
  ScriptedPeer& client = rig_.connect(Entry::https);
  client.send(client_hello("pass.test"));
  rig_.settle();
  EXPECT_EQ(client.received(), "");
  EXPECT_EQ(client.end(), ScriptedPeer::End::eof);
  ASSERT_EQ(rig_.records().size(), 1u);
  EXPECT_EQ(rig_.records()[0].text(), "reject 403 0/0 by allowlist");
  EXPECT_EQ(rig_.records()[0].host, "pass.test");
}

TEST_F(PassThroughByName, OthersAndWhatIsNoHelloAreLeftToTheHandshake) {
  rig_.secure();
  PeerStream client(rig_, rig_.connect(Entry::https));
  client.secure_as_client("h.test");
  client.write_all("GET / HTTP/1.1\r\nHost: h.test\r\n\r\n");
  rig_.settle();
  ASSERT_EQ(rig_.records().size(), 1u);
  EXPECT_EQ(rig_.records()[0].text(), "reject 403 0/0 by allowlist");
  ScriptedPeer& plain = rig_.connect(Entry::https);
  plain.send("GET / HTTP/1.1\r\nHost: h.test\r\n\r\n");
  rig_.settle();
  EXPECT_TRUE(plain.received().starts_with("HTTP/1.0 400 Bad Request\r\n"));
  EXPECT_EQ(rig_.records().size(), 1u);
}

}  // namespace
}  // namespace iron::proxy::test
