#include "proxy/client/tunnel.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "tests/proxy/session_script.h"

namespace iron::proxy::test {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using Kind = Step::Kind;

TEST(TunnelProtocol, OfTheFirstBytes) {
  const struct {
    std::string bytes;
    TunnelProtocol protocol;
  } rows[] = {
      {"", TunnelProtocol::undecided},   {"S", TunnelProtocol::undecided},
      {"SS", TunnelProtocol::undecided}, {"SSH", TunnelProtocol::undecided},
      {"SSH-", TunnelProtocol::unknown}, {"SSH-2.0-x\r\n", TunnelProtocol::unknown},
      {"SSH /", TunnelProtocol::http},   {"SSHX", TunnelProtocol::http},
      {"SEARCH", TunnelProtocol::http},  {"S3", TunnelProtocol::http},
      {"A", TunnelProtocol::http},       {"Z", TunnelProtocol::http},
      {"@", TunnelProtocol::unknown},    {"[", TunnelProtocol::unknown},
      {"a", TunnelProtocol::unknown},    {"\r\n", TunnelProtocol::unknown},
      {"\0"s, TunnelProtocol::unknown},  {"\xff", TunnelProtocol::unknown},
      {"\x15", TunnelProtocol::unknown}, {"\x16", TunnelProtocol::tls},
      {"\x16SSH-", TunnelProtocol::tls},
  };
  for (const auto& row : rows) EXPECT_EQ(tunnel_protocol(row.bytes), row.protocol) << row.bytes;
}

const std::string kOpen = "CONNECT 10.0.0.1:80 HTTP/1.1|Host: 10.0.0.1:80||";
const std::string kOpened = "HTTP/1.1 200 Connection Established||";

Script tunnel(std::vector<Step> steps) {
  return {.steps = std::move(steps), .entry = Entry::tunnel};
}

const std::vector<Row> kTunnels = {
    {"HTTP in a tunnel",
     {.steps = {client("CONNECT 10.0.0.1:80 HTTP/1.1|Host: 10.0.0.1:80||"), client(kGet),
                origin(kOk)},
      .entry = Entry::tunnel},
     {"client: HTTP/1.1 200 Connection Established||" + kOkRelayed,
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/0", "record: allow 200 0/2",
      "session: open"}},
    {"all at once",
     {.steps = {client("CONNECT 10.0.0.1:80 HTTP/1.1|Host: 10.0.0.1:80||" + kGet), origin(kOk)},
      .entry = Entry::tunnel},
     {"client: HTTP/1.1 200 Connection Established||" + kOkRelayed,
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/0", "record: allow 200 0/2",
      "session: open"}},
    {"neither TLS nor HTTP",
     {.steps = {client("CONNECT 10.0.0.1:80 HTTP/1.1|Host: 10.0.0.1:80||SSH-2.0|")},
      .entry = Entry::tunnel},
     {"client: HTTP/1.1 200 Connection Established||[end]", "origin: ", "record: allow 200 0/0",
      "record: reject 400 0/0 by protocol: unknown protocol in tunnel", "session: open"}},
    {"an unused one",
     {.steps = {client("CONNECT 10.0.0.1:80 HTTP/1.1|Host: 10.0.0.1:80||"),
                happens(Kind::client_finishes)},
      .entry = Entry::tunnel},
     {"client: HTTP/1.1 200 Connection Established||[end]", "origin: ", "record: allow 200 0/0",
      "session: gone"}},
    {"nothing, not yet",
     tunnel({client(kOpen), pass(44s)}),
     {"client: " + kOpened, "origin: ", "record: allow 200 0/0", "session: open"}},
    {"nothing",
     tunnel({client(kOpen), pass(45s)}),
     {"client: " + kOpened + "[end]", "origin: ", "record: allow 200 0/0", "session: gone"}},
    {"a beginning of SSH, or of a method, not yet",
     tunnel({client(kOpen), client("SS"), pass(19s)}),
     {"client: " + kOpened, "origin: ", "record: allow 200 0/0", "session: open"}},
    {"a beginning of SSH, or of a method",
     tunnel({client(kOpen), client("SS"), pass(20s)}),
     {"client: " + kOpened + "[end]", "origin: ", "record: allow 200 0/0",
      "record: reject 400 0/0 by protocol: malformed request", "session: gone"}},
    {"a beginning that becomes SSH",
     tunnel({client(kOpen), client("SS"), client("H-2.0|")}),
     {"client: " + kOpened + "[end]", "origin: ", "record: allow 200 0/0",
      "record: reject 400 0/0 by protocol: unknown protocol in tunnel", "session: open"}},
    {"a beginning that becomes a method",
     tunnel({client(kOpen), client("S"), client("EARCH /a HTTP/1.1|" + kHost + "|"), origin(kOk)}),
     {"client: " + kOpened + kOkRelayed, "origin: SEARCH /a HTTP/1.1|Host: 10.0.0.1||",
      "record: allow 200 0/0", "record: allow 200 0/2", "session: open"}},
    {"a beginning, and the end",
     tunnel({client(kOpen), client("SS"), happens(Kind::client_finishes)}),
     {"client: " + kOpened + kBadRequest + "[end]", "origin: ", "record: allow 200 0/0",
      "record: reject 400 0/0 by protocol: malformed request", "session: gone"}},
    {"a beginning, and the drain",
     tunnel({client(kOpen), client("SS"), happens(Kind::drain)}),
     {"client: " + kOpened + "[end]", "origin: [end]", "record: allow 200 0/0", "session: gone"}},
    {"a tunnel in a tunnel",
     tunnel({client(kOpen), client(kOpen)}),
     {"client: " + kOpened + "HTTP/1.1 405 Method Not Allowed||[end]",
      "origin: ", "record: allow 200 0/0",
      "record: reject 405 0/0 by protocol: method not allowed here", "session: open"}},
};

TEST(Tunnel, ItsFirstBytesDecideWhatIsSpoken) { expect_rows(kTunnels); }

TEST(Tunnel, OneThatWasOpenedForNothingIsToldOf) {
  const struct {
    const char* name;
    std::string_view inside;
    bool told;
  } rows[] = {{"nothing", "", true},
              {"a request", "GET /a HTTP/1.1\r\nHost: 10.0.0.9\r\n\r\n", false},
              {"what is refused in its place", "SSH-2.0\r\n", false}};
  for (const auto& row : rows) {
    SessionRig rig;
    ScriptedPeer& client = rig.connect(Entry::tunnel);
    client.send("CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n");
    rig.settle();
    rig.advance(2s);
    client.send(row.inside);
    rig.settle();
    client.close();
    rig.settle();
    const std::string notes = rig.notes();
    EXPECT_EQ(notes.find("tunnel closed without a request") != notes.npos, row.told) << row.name;
    if (!row.told) continue;
    EXPECT_NE(notes.find("\"host\":\"10.0.0.1:80\""), notes.npos) << notes;
    EXPECT_NE(notes.find("\"duration_ms\":2000"), notes.npos) << notes;
  }
}

TEST(Tunnel, TheDrainIsNoReasonToTellOfUnusedOnes) {
  SessionRig rig;
  rig.connect(Entry::tunnel).send("CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n");
  rig.settle();
  rig.site().begin_drain();
  rig.settle();
  EXPECT_EQ(rig.sessions(), 0u);
  const std::string notes = rig.notes();
  EXPECT_EQ(notes.find("tunnel closed without a request"), notes.npos) << notes;
}

}  // namespace
}  // namespace iron::proxy::test
