#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/proxy/peer_exchanges.h"
#include "tests/proxy/rig_authority.h"

namespace iron::proxy::test {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;
using End = ScriptedPeer::End;

constexpr std::string_view kTarget = "origin.test:443";
constexpr std::size_t kAll = std::string::npos;

/// A client that has sent so much of its ClientHello, on `https_listen` or in a tunnel.
class Handshake {
 public:
  Handshake(Entry entry, std::size_t sent, Link link = Link::local) {
    rig_.secure();
    peer_ = &rig_.connect(entry, link);
    if (entry == Entry::tunnel) {
      peer_->send("CONNECT " + std::string(kTarget) + " HTTP/1.1\r\nHost: origin.test\r\n\r\n");
      opened_ = "HTTP/1.1 200 Connection Established\r\n\r\n";
      rig_.turn_until([this] { return peer_->received() == opened_; });
    }
    peer_->send(RigAuthority::get().client_hello("origin.test").substr(0, sent));
    rig_.settle();
  }

  SessionRig& rig() { return rig_; }
  ScriptedPeer& peer() { return *peer_; }
  /// Bytes of the proxy's flight came.
  bool answered() const { return peer_->received().size() > opened_.size(); }
  bool under_way() { return rig_.sessions() == 1 && peer_->end() == End::none; }
  /// Nothing is left but the record of the CONNECT, and what the log says of the handshake.
  void expect_gone(const char* note, bool begun = true) {
    EXPECT_TRUE(rig_.turn_until([this] { return rig_.sessions() == 0; }));
    const bool tunnel = !opened_.empty();
    Lines records;
    for (const RigRecord& record : rig_.records()) records.push_back(record.text());
    EXPECT_EQ(records, tunnel ? Lines{"allow 200 0/0"} : Lines());
    EXPECT_EQ(rig_.leftovers(), "");
    const std::string notes = rig_.notes();
    EXPECT_NE(notes.find(note), notes.npos) << notes;
    const char* const failure = tunnel ? "tunnel connect error" : "tls handshake error";
    EXPECT_EQ(notes.find(failure) != notes.npos, begun) << notes;
  }

 private:
  SessionRig rig_{PeerRig::usual_config()};
  ScriptedPeer* peer_ = nullptr;
  std::string opened_;
};

constexpr Entry kEntries[] = {Entry::https, Entry::tunnel};

TEST(SessionHandshake, HasItsTimeFromItsFirstByteOn) {
  for (const Entry entry : kEntries) {
    for (const std::size_t sent : {1UL, 5UL, 100UL, kAll}) {
      SCOPED_TRACE(std::to_string(static_cast<int>(entry)) + ", " + std::to_string(sent));
      Handshake handshake(entry, sent);
      EXPECT_EQ(handshake.answered(), sent == kAll);
      handshake.rig().advance(9990ms);
      EXPECT_TRUE(handshake.under_way());
      handshake.rig().advance(10ms);
      EXPECT_FALSE(handshake.under_way());
      handshake.expect_gone("handshake timeout");
    }
  }
}

TEST(SessionHandshake, BytesThatTrickleBuyNoTime) {
  for (const Entry entry : kEntries) {
    SCOPED_TRACE(static_cast<int>(entry));
    Handshake handshake(entry, 1);
    const std::string hello = RigAuthority::get().client_hello("origin.test");
    for (std::size_t second = 1; second < 10; ++second) {
      handshake.rig().advance(1s);
      ASSERT_TRUE(handshake.under_way()) << second;
      handshake.peer().send(hello.substr(second, 1));
    }
    handshake.rig().advance(1s);
    EXPECT_FALSE(handshake.under_way());
    handshake.expect_gone("handshake timeout");
  }
}

TEST(SessionHandshake, TheTimeBeforeItIsAnotherLimits) {
  Handshake handshake(Entry::tunnel, 0);
  handshake.rig().advance(44s);
  EXPECT_TRUE(handshake.under_way());
  handshake.rig().advance(1s);
  EXPECT_FALSE(handshake.under_way());
  handshake.expect_gone("tunnel peek error", false);
}

TEST(SessionHandshake, AClientMayLeaveInTheMiddle) {
  for (const Entry entry : kEntries) {
    for (const std::size_t sent : {1UL, 100UL, kAll}) {
      for (const bool reset : {false, true}) {
        SCOPED_TRACE(std::to_string(static_cast<int>(entry)) + ", " + std::to_string(sent) +
                     (reset ? ", reset" : ""));
        Handshake handshake(entry, sent, Link::tcp);
        EXPECT_TRUE(handshake.under_way());
        if (reset) {
          handshake.peer().reset();
        } else {
          handshake.peer().finish();
        }
        handshake.expect_gone("");
      }
    }
  }
}

TEST(SessionHandshake, TheDrainDoesNotWaitForIt) {
  for (const Entry entry : kEntries) {
    SCOPED_TRACE(static_cast<int>(entry));
    Handshake handshake(entry, kAll);
    handshake.rig().site().begin_drain();
    handshake.rig().settle();
    EXPECT_FALSE(handshake.under_way());
  }
}

TEST(SessionHandshake, AnHttpClientOnTheTlsPortIsTold) {
  SessionRig rig(PeerRig::usual_config());
  rig.secure();
  HttpClient client(rig, rig.connect(Entry::https));
  const WebMessage answer = client.ask({.start = "GET / HTTP/1.1", .fields = {"Host: a.test"}});
  EXPECT_EQ(answer.start, "HTTP/1.0 400 Bad Request");
  EXPECT_EQ(answer.body, "Client sent an HTTP request to an HTTPS server.\n");
  EXPECT_TRUE(rig.records().empty());
}

/// Two places for one address, three in all.
TEST(SessionShares, WhoHasItsShareIsTurnedAway) {
  const struct {
    Entry entry;
    const char *answer, *record;
  } rows[] = {
      {Entry::http, "HTTP/1.1 503 Service Unavailable\r\n",
       "reject 503 0/0 by protocol: connection limit reached"},
      {Entry::https, "", "reject 400 0/0 by protocol: connection limit reached"},
      {Entry::tunnel, "", "reject 400 0/0 by protocol: connection limit reached"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(static_cast<int>(row.entry));
    SessionRig rig(PeerRig::usual_config());
    const std::uint16_t port = rig.listen(row.entry, 3, 2);
    const auto come = [&](std::uint8_t from) -> ScriptedPeer& {
      const std::size_t before = rig.sessions() + rig.records().size();
      ScriptedPeer& peer = rig.adopt(connect_to(port, from));
      EXPECT_TRUE(
          rig.turn_until([&] { return rig.sessions() + rig.records().size() == before + 1; }));
      return peer;
    };
    const auto refused = [&](std::uint8_t from) {
      ScriptedPeer& peer = come(from);
      EXPECT_TRUE(rig.turn_until([&] { return peer.end() != End::none; }));
      EXPECT_EQ(peer.end(), End::eof);
      EXPECT_EQ(peer.received().substr(0, peer.received().find('\n') + 1), row.answer);
      EXPECT_EQ(rig.records().back().text(), row.record);
      EXPECT_TRUE(rig.records().back().remote.starts_with("127.0.0." + std::to_string(from)));
    };
    ScriptedPeer& first = come(1);
    come(1);
    refused(1);
    ScriptedPeer& other = come(2);
    refused(2);
    refused(3);
    EXPECT_EQ(rig.sessions(), 3U);
    other.close();
    EXPECT_TRUE(rig.turn_until([&] { return rig.sessions() == 2; }));
    refused(1);
    first.close();
    EXPECT_TRUE(rig.turn_until([&] { return rig.sessions() == 1; }));
    come(1);
    come(3);
    refused(2);
    EXPECT_EQ(rig.records().size(), 5U);
  }
}

}  // namespace
}  // namespace iron::proxy::test
