#include "proxy/http/header_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/http1/head_parser.h"
#include "tests/proxy/parsed_request.h"

namespace iron::proxy {
namespace {

using test::lines_of;
using test::Parsed;

struct StripCase {
  const char* name;
  std::string before;
  std::string after;
};

TEST(StripRequest, RemovesWhatIsMeantForThisHop) {
  const StripCase rows[] = {
      {"nothing to remove", "Host: h\r\nX: y\r\n", "Host: h\r\nX: y\r\n"},
      {"the fixed ones",
       "Host: h\r\nconnection: close\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n"
       "Proxy-Authenticate: x\r\nproxy-authorization: Basic x\r\nTrailer: A\r\nUpgrade: h2c\r\n"
       "A: b\r\n",
       "Host: h\r\nA: b\r\n"},
      {"what Connection names",
       "Host: h\r\nX-A: 1\r\nConnection: x-a , X-B\r\nx-b: 2\r\nX-C: 3\r\n",
       "Host: h\r\nX-C: 3\r\n"},
      {"what two Connection fields name, every copy",
       "X-A: 1\r\nConnection: x-a\r\nHost: h\r\nX-a: 2\r\nConnection: close, X-B\r\nX-B: 3\r\n",
       "Host: h\r\n"},
      {"Host and framing stay",
       "Host: h\r\nContent-Length: 2\r\nConnection: host, content-length\r\n",
       "Host: h\r\nContent-Length: 2\r\n"},
      {"the coding stays",
       "Host: h\r\nTransfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n",
       "Host: h\r\nTransfer-Encoding: chunked\r\n"},
      {"TE without trailers", "Host: h\r\nTE: gzip\r\n", "Host: h\r\n"},
      {"TE with trailers", "Host: h\r\nTE: gzip, Trailers\r\nConnection: TE\r\n",
       "Host: h\r\nTE: trailers\r\n"},
      {"TE twice", "Host: h\r\nTE: trailers\r\nte: trailers\r\n", "Host: h\r\nTE: trailers\r\n"},
      {"empty Connection", "Host: h\r\nConnection:\r\nX: y\r\n", "Host: h\r\nX: y\r\n"},
      {"end-to-end fields with similar names",
       "Host: h\r\nProxy-Status: x\r\nUpgrade-Insecure-Requests: 1\r\nTrailers: x\r\nTEX: 1\r\n",
       "Host: h\r\nProxy-Status: x\r\nUpgrade-Insecure-Requests: 1\r\nTrailers: x\r\nTEX: 1\r\n"},
  };
  for (const StripCase& row : rows) {
    Parsed parsed(row.before);
    strip_request(parsed.exchange.request.headers, false);
    EXPECT_EQ(lines_of(parsed.exchange.request.headers), row.after) << row.name;
  }
}

TEST(StripRequest, AnUpgradeKeepsItsTwoFieldsInPlace) {
  Parsed parsed(
      "Host: h\r\nUPGRADE: WebSocket\r\nX-A: 1\r\nconnection: keep-alive, Upgrade, X-A\r\n"
      "Keep-Alive: 5\r\nSec-WebSocket-Version: 13\r\nConnection: x\r\n");
  strip_request(parsed.exchange.request.headers, true);
  EXPECT_EQ(
      lines_of(parsed.exchange.request.headers),
      "Host: h\r\nUPGRADE: websocket\r\nconnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
}

TEST(StripResponse, RemovesWhatIsMeantForThisHop) {
  const std::string head =
      "HTTP/1.1 200 OK\r\nServer: s\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\n"
      "Proxy-Authenticate: x\r\nProxy-Connection: x\r\nTE: x\r\nUpgrade: h2\r\nx-hop: 1\r\n"
      "Trailer: A\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n";
  for (const bool keep_trailer : {false, true}) {
    HeadParser parser(HeadParser::Kind::response);
    Response response;
    ASSERT_EQ(parser.parse(head, {}, response), HeadParser::Status::complete);
    strip_response(response.headers, keep_trailer);
    EXPECT_EQ(lines_of(response.headers),
              std::string("Server: s\r\n") + (keep_trailer ? "Trailer: A\r\n" : "") +
                  "Transfer-Encoding: chunked\r\nSet-Cookie: a\r\nset-cookie: b\r\n");
  }
}

TEST(StripSwitching, LeavesTheUpgradeInItsPlaces) {
  const std::string head =
      "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nA: 1\r\nKeep-Alive: 5\r\n"
      "CONNECTION: upgrade, X-Hop\r\nX-Hop: 1\r\nConnection: Upgrade\r\nB: 2\r\n\r\n";
  HeadParser parser(HeadParser::Kind::response);
  Response response;
  ASSERT_EQ(parser.parse(head, {}, response), HeadParser::Status::complete);
  strip_switching(response.headers);
  EXPECT_EQ(lines_of(response.headers),
            "upgrade: websocket\r\nA: 1\r\nCONNECTION: Upgrade\r\nB: 2\r\n");
}

TEST(ConnectionField, IsReadOverAllItsLines) {
  const auto read = [](std::string lines) {
    return read_connection(Parsed(std::move(lines)).exchange.request.headers);
  };
  EXPECT_FALSE(read("Host: h\r\n").close);
  EXPECT_TRUE(read("Connection: x\r\nconnection: foo, CLOSE\r\n").close);
  EXPECT_FALSE(read("Connection: closed\r\n").close);
  EXPECT_TRUE(read("Connection: Keep-Alive\r\n").keep_alive);
  EXPECT_FALSE(read("Keep-Alive: 5\r\n").keep_alive);
  EXPECT_TRUE(read("TE: gzip;q=1, trailers\r\n").te_trailers);
  EXPECT_FALSE(read("TE: gzip\r\n").te_trailers);
}

TEST(ConnectionField, SaysWhetherTheConnectionGoesOn) {
  const struct {
    const char* lines;
    bool from_1_0, from_1_1;
  } rows[] = {
      {"A: b\r\n", false, true},
      {"Connection: close\r\n", false, false},
      {"Connection: keep-alive\r\n", true, true},
      {"Connection: keep-alive\r\nConnection: close\r\n", false, false},
  };
  for (const auto& row : rows) {
    const Parsed parsed(std::string("Host: h\r\n") + row.lines);
    const HopByHop connection = read_connection(parsed.exchange.request.headers);
    EXPECT_EQ(connection.persistent(0), row.from_1_0) << row.lines;
    EXPECT_EQ(connection.persistent(1), row.from_1_1) << row.lines;
  }
}

// WebSocket.

constexpr const char* kUpgrade =
    "Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

bool is_upgrade(std::string lines, std::string_view first_line = "GET /ws HTTP/1.1") {
  Parsed parsed(std::move(lines), first_line);
  return is_websocket_upgrade(parsed.exchange.request, parsed.checks.framing);
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, text.npos) << what;
  return text.replace(at, what.size(), with);
}

TEST(MayBeSilent, GoesByTheTypeAlone) {
  const std::pair<const char*, bool> cases[] = {
      {"text/event-stream", true},      {"TEXT/Event-Stream; charset=utf-8", true},
      {"text/event-stream\t", true},    {"text/event-stream,text/plain", true},
      {"text/event-streams", false},    {"text/event", false},
      {"application/grpc", true},       {"application/grpc;a", true},
      {"application/grpc+proto", true}, {"text/plain", false},
      {"application/grpcs", false},     {"", false},
  };
  for (const auto& [type, silent] : cases) {
    Headers headers;
    EXPECT_FALSE(may_be_silent(headers));
    headers.add("content-type", type);
    EXPECT_EQ(may_be_silent(headers), silent) << type;
  }
}

TEST(WebSocketUpgrade, NeedsEverythingRfc6455Asks) {
  EXPECT_TRUE(is_upgrade(kUpgrade));
  EXPECT_TRUE(is_upgrade(replaced(kUpgrade, "websocket", "WebSocket")));
  EXPECT_TRUE(is_upgrade(replaced(kUpgrade, ": Upgrade", ": keep-alive, uPGRADE")));
  EXPECT_TRUE(is_upgrade(std::string(kUpgrade) + "Content-Length: 0\r\n"));

  EXPECT_FALSE(is_upgrade(kUpgrade, "POST /ws HTTP/1.1"));
  EXPECT_FALSE(is_upgrade(kUpgrade, "get /ws HTTP/1.1"));
  EXPECT_FALSE(is_upgrade(kUpgrade, "GET /ws HTTP/1.0"));
  EXPECT_FALSE(is_upgrade(std::string(kUpgrade) + "Content-Length: 3\r\n"));
  EXPECT_FALSE(is_upgrade(std::string(kUpgrade) + "Transfer-Encoding: chunked\r\n"));
  EXPECT_FALSE(is_upgrade(replaced(kUpgrade, "websocket", "h2c")));
  EXPECT_FALSE(is_upgrade(replaced(kUpgrade, "websocket", "websocket, h2c")));
  EXPECT_FALSE(is_upgrade(replaced(kUpgrade, "websocket", "websockets")));
  EXPECT_FALSE(is_upgrade(std::string(kUpgrade) + "Upgrade: websocket\r\n"));
  EXPECT_FALSE(is_upgrade(replaced(kUpgrade, ": Upgrade", ": close")));
  EXPECT_FALSE(is_upgrade(replaced(kUpgrade, "Version: 13", "Version: 8")));
  EXPECT_FALSE(is_upgrade(replaced(kUpgrade, "Version: 13", "Version: 13, 8")));
  EXPECT_FALSE(is_upgrade(replaced(kUpgrade, "Sec-WebSocket-Version: 13\r\n", "")));
}

TEST(WebSocketUpgrade, TheKeyIsSixteenOctetsInBase64) {
  const auto with_key = [](std::string_view key) {
    return is_upgrade(replaced(kUpgrade, "dGhlIHNhbXBsZSBub25jZQ==", key));
  };
  EXPECT_TRUE(with_key("AAAAAAAAAAAAAAAAAAAAAA=="));
  EXPECT_TRUE(with_key("+/+/+/+/+/+/+/+/+/+/+w=="));
  for (const char* key :
       {"", "x", "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZWE=", "dGhlIHNhbXBsZSBub25jZWFh",
        "dGhlIHNhbXBsZSBub25jZ*==", "dGhlIHNhbXBsZSBub25j====", "dGhl=HNhbXBsZSBub25jZQ==",
        "dGhl IHNhbXBsZSBub25jQ==", "dGhlIHNhbXBsZSBub25jZQ==A", "dGhl-HNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25j-Q==", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}) {
    EXPECT_FALSE(with_key(key)) << key;
  }
  EXPECT_FALSE(is_upgrade(std::string(kUpgrade) + "Sec-WebSocket-Key: x\r\n"));
}

TEST(WebSocketUpgrade, AcceptIsThatOfRfc6455) {
  EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

}  // namespace
}  // namespace iron::proxy
