#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "policy/yaml/yaml_reader.h"
#include "tests/proxy/peer_exchanges.h"

namespace iron::proxy::test {
namespace {

using Framing = WebMessage::Framing;
using Lines = std::vector<std::string>;

const std::vector<Way> kWays = {Way::tunnel_tls, Way::tls};

TEST(SessionTls, WhatIsSentArrives) { expect_exchanges(kWays); }

TEST(SessionTls, OneConnectionServesOneRequestAfterTheOther) { expect_keep_alive(kWays); }

TEST(SessionTls, ABodyThatWaitsForItsContinue) { expect_continue(kWays); }

const std::string kToken = "rig-token-0123456789", kKey = "real-key-0123456789abcdef";

policy::Config swapping() {
  policy::Config config = PeerRig::usual_config();
  config.transforms.push_back(
      {"secrets", policy::parse_yaml("secrets:\n"
                                     "- source: {type: env, var: RIG_KEY}\n"
                                     "  replace: {proxy_value: rig-token-0123456789, "
                                     "match_headers: [X-T], match_body: true}\n"
                                     "  scrub_responses: on\n"
                                     "  rules: [{host: 127.0.0.1}, {host: origin.test}]\n")});
  return config;
}

TEST(SessionTls, KeysGoToTheOriginAndTokensComeBack) {
  for (const Way way : kWays) {
    for (const Framing framing : {Framing::length, Framing::chunked}) {
      SCOPED_TRACE(name_of(way));
      PeerRig peers(way, swapping(), {{"RIG_KEY", kKey}});
      const std::string before(20000, 'x');
      peers.origin().answer_with([&](const WebMessage& request) {
        return WebMessage{.start = "HTTP/1.1 200 OK",
                          .fields = {"X-Echo: " + request.field("X-T")},
                          .body = request.body,
                          .framing = framing};
      });
      const WebMessage answer =
          peers.client().ask(peers.filled({.start = "POST /a HTTP/1.1",
                                           .fields = {"Host: <A>", "X-T: " + kToken},
                                           .body = before + kToken,
                                           .framing = framing}));
      ASSERT_EQ(peers.origin().requests().size(), 1U);
      EXPECT_EQ(peers.origin().requests()[0].field("X-T"), kKey);
      EXPECT_TRUE(peers.origin().requests()[0].body == before + kKey);
      EXPECT_EQ(answer.field("X-Echo"), kToken);
      EXPECT_TRUE(answer.body == before + kToken);
      EXPECT_EQ(answer.fault, "");
      EXPECT_EQ(peers.records(), Lines{"allow 200 20020/20020"});
    }
  }
}

TEST(SessionTls, AnOriginThatNobodyTrustsGetsNoRequest) {
  SessionRig rig(PeerRig::usual_config());
  rig.secure();
  HttpOrigin origin(rig, HttpOrigin::Tls::strange);
  HttpClient client(rig, Way::tunnel_tls, origin.authority());
  const WebMessage answer =
      client.ask({.start = "GET /a HTTP/1.1", .fields = {"Host: " + origin.authority()}});
  EXPECT_EQ(answer.status(), 502);
  EXPECT_TRUE(origin.requests().empty());
  ASSERT_EQ(rig.records().size(), 2U);
  EXPECT_EQ(rig.records()[1].text(),
            "error 502 0/0: tls: failed to verify certificate: x509: certificate signed by unknown "
            "authority");
}

/// What a TLS connection says at its end when an answer came to the proxy like that.
struct Ending {
  const char* name;
  const char* version;  ///< of the request
  WebMessage answer;    ///< head, and what there is of the body
  enum class How { close_notify, fin, within_record, reset } how;
  const char *fault, *end, *record;
};

const WebMessage kUntilEnd{.start = "HTTP/1.1 200 OK", .body = "hello"};
const WebMessage kShort{
    .start = "HTTP/1.1 200 OK", .fields = {"Content-Length: 9"}, .body = "hello"};
const WebMessage kChunk{
    .start = "HTTP/1.1 200 OK", .fields = {"Transfer-Encoding: chunked"}, .body = "5\r\nhello\r\n"};

const std::vector<Ending> kEndings = {
    {"until the end, properly", "1.0", kUntilEnd, Ending::How::close_notify, "", "close_notify",
     "allow 200 0/5"},
    // Many servers do so (tls/context.cc).
    {"until the end, without a close_notify", "1.0", kUntilEnd, Ending::How::fin, "",
     "close_notify", "allow 200 0/5"},
    {"until the end, within a record", "1.0", kUntilEnd, Ending::How::within_record,
     "stream truncated", "end", "allow 200 0/5"},
    {"until the end, with a reset", "1.0", kUntilEnd, Ending::How::reset, "stream truncated", "end",
     "allow 200 0/5"},
    {"until the end, within a record, in chunks", "1.1", kUntilEnd, Ending::How::within_record,
     "stream truncated", "end", "allow 200 0/5"},
    {"by length, properly", "1.1", kShort, Ending::How::close_notify, "stream truncated", "end",
     "allow 200 0/5"},
    {"by length, without a close_notify", "1.1", kShort, Ending::How::fin, "stream truncated",
     "end", "allow 200 0/5"},
    {"chunks, properly", "1.1", kChunk, Ending::How::close_notify, "stream truncated", "end",
     "allow 200 0/5"},
    {"chunks for an old client, properly", "1.0", kChunk, Ending::How::close_notify,
     "stream truncated", "end", "allow 200 0/5"},
};

void end(PeerStream& stream, Ending::How how) {
  switch (how) {
    case Ending::How::close_notify:
      return stream.finish();
    case Ending::How::fin:
      return stream.peer().finish();
    case Ending::How::within_record:
      stream.write_all("and more");
      stream.peer().keep_unsent(12);
      return stream.peer().finish();
    case Ending::How::reset:
      return stream.peer().reset();
  }
}

TEST(SessionTls, AnAnswerThatIsCutDoesNotLookWhole) {
  for (const Ending& row : kEndings) {
    SCOPED_TRACE(row.name);
    PeerRig peers(Way::tunnel_tls);
    peers.origin().answer_with([&](const WebMessage&) { return row.answer; });
    peers.client().send(peers.filled(
        {.start = "GET /a HTTP/" + std::string(row.version), .fields = {"Host: <A>"}}));
    peers.origin().await_requests(1);
    peers.rig().settle();
    end(peers.origin().stream(), row.how);
    peers.rig().settle();
    const WebMessage answer = peers.client().receive();
    EXPECT_EQ(answer.body, "hello");
    EXPECT_TRUE(answer.fault.starts_with(row.fault) && answer.fault.empty() == !*row.fault)
        << answer.fault;
    EXPECT_EQ(peers.client().stream().read_end(), row.end);
    EXPECT_EQ(peers.records(), Lines{row.record});
    EXPECT_EQ(peers.leftovers(), "");
  }
}

/// A client that ends its side of TLS within a request, and behind one.
TEST(SessionTls, AClientThatEndsItsSideIsGone) {
  const struct {
    const char* body;
    bool properly;
    const char* record;
  } rows[] = {
      {"hel", true, "client_cancel 200 3/0"},
      {"hel", false, "client_cancel 200 3/0"},
      {"hello", true, "client_cancel 200 5/0"},
      {"hello", false, "client_cancel 200 5/0"},
  };
  for (const Way way : kWays) {
    for (const auto& row : rows) {
      SCOPED_TRACE(std::string(name_of(way)) + " " + row.body + (row.properly ? " properly" : ""));
      PeerRig peers(way);
      peers.origin().answer_with(nullptr);
      WebMessage request = peers.filled({.start = "PUT /a HTTP/1.1",
                                         .fields = {"Host: <A>"},
                                         .body = "hello",
                                         .framing = Framing::length});
      peers.client().send_head(request);
      peers.client().stream().write_all(row.body);
      peers.rig().settle();
      if (row.properly) {
        peers.client().stream().finish();
      } else {
        peers.client().peer().finish();
      }
      peers.rig().settle();
      EXPECT_EQ(peers.rig().sessions(), 0U);
      EXPECT_EQ(peers.client().stream().read_end(), "end");
      EXPECT_EQ(peers.records(), Lines{row.record});
      EXPECT_EQ(peers.leftovers(), "");
    }
  }
}

}  // namespace
}  // namespace iron::proxy::test
