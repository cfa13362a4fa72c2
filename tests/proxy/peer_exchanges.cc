#include "tests/proxy/peer_exchanges.h"

#include <gtest/gtest.h>

#include "policy/yaml/yaml_reader.h"

namespace iron::proxy::test {
namespace {

using namespace std::chrono_literals;
using Framing = WebMessage::Framing;

const std::string kDate = "Date: Thu, 01 Jan 2026 00:00:00 GMT";

/// 300,000 bytes that are nowhere alike for long.
std::string large_body() {
  std::string body;
  for (int i = 0; body.size() < 300000; ++i) body += std::to_string(i) + ",";
  body.resize(300000);
  return body;
}
const std::string kLarge = large_body();

/// What is sent, and where something else arrives, that.
struct Exchange {
  const char* name;
  WebMessage request, answer;
  std::function<void(WebMessage&)> on_the_way_up = [](WebMessage&) {};
  std::function<void(WebMessage&)> on_the_way_down = [](WebMessage&) {};
  const char* record;
};

void drop_trailers(WebMessage& message) { message.trailers.clear(); }

const std::vector<Exchange> kExchanges = {
    {.name = "GET",
     .request = {.start = "GET /a?b=c HTTP/1.1",
                 .fields = {"Host: <A>", "User-Agent: beast", "X-Empty: ", "Accept: */*"}},
     .answer = {.start = "HTTP/1.1 200 Fine",
                .fields = {kDate, "Server: beast", "ETag: \"1\""},
                .body = "hello",
                .framing = Framing::length},
     .record = "allow 200 0/5"},
    {.name = "an answer in chunks",
     .request = {.start = "GET /a HTTP/1.1", .fields = {"Host: <A>", "TE: trailers"}},
     .answer = {.start = "HTTP/1.1 200 OK",
                .fields = {kDate, "Trailer: X-Sum"},
                .body = kLarge,
                .framing = Framing::chunked,
                .trailers = {"X-Sum: 1", "X-Other: 2"}},
     .record = "allow 200 0/300000"},
    {.name = "trailers that were not asked for",
     .request = {.start = "GET /a HTTP/1.1", .fields = {"Host: <A>"}},
     .answer = {.start = "HTTP/1.1 200 OK",
                .fields = {kDate},
                .body = "hello",
                .framing = Framing::chunked,
                .trailers = {"X-Sum: 1"}},
     .on_the_way_down = drop_trailers,
     .record = "allow 200 0/5"},
    {.name = "an empty body in chunks",
     .request = {.start = "GET /a HTTP/1.1", .fields = {"Host: <A>"}},
     .answer = {.start = "HTTP/1.1 200 OK", .fields = {kDate}, .framing = Framing::chunked},
     .record = "allow 200 0/0"},
    {.name = "an answer until the end",
     .request = {.start = "GET /a HTTP/1.1", .fields = {"Host: <A>"}},
     .answer = {.start = "HTTP/1.1 200 OK",
                .fields = {kDate},
                .body = kLarge,
                .framing = Framing::until_close},
     .on_the_way_down = [](WebMessage& answer) { answer.framing = Framing::chunked; },
     .record = "allow 200 0/300000"},
    {.name = "HEAD",
     .request = {.start = "HEAD /a HTTP/1.1", .fields = {"Host: <A>"}},
     .answer = {.start = "HTTP/1.1 200 OK", .fields = {kDate, "Content-Length: 5"}},
     .record = "allow 200 0/0"},
    {.name = "204",
     .request = {.start = "DELETE /a HTTP/1.1", .fields = {"Host: <A>"}},
     .answer = {.start = "HTTP/1.1 204 No Content", .fields = {kDate, "X-Gone: 1"}},
     .record = "allow 204 0/0"},
    {.name = "304",
     .request = {.start = "GET /a HTTP/1.1", .fields = {"Host: <A>", "If-None-Match: \"1\""}},
     .answer = {.start = "HTTP/1.1 304 Not Modified", .fields = {kDate, "ETag: \"1\""}},
     .record = "allow 304 0/0"},
    {.name = "POST by length",
     .request = {.start = "POST /a HTTP/1.1",
                 .fields = {"Host: <A>", "Content-Type: text/plain"},
                 .body = kLarge,
                 .framing = Framing::length},
     .answer = {.start = "HTTP/1.1 201 Created",
                .fields = {kDate, "Location: /b"},
                .body = kLarge,
                .framing = Framing::length},
     .record = "allow 201 300000/300000"},
    {.name = "POST in chunks",
     .request = {.start = "POST /a HTTP/1.1",
                 .fields = {"Host: <A>"},
                 .body = kLarge,
                 .framing = Framing::chunked,
                 .trailers = {"X-Sum: 1"}},
     .answer = {.start = "HTTP/1.1 404 Not Found",
                .fields = {kDate},
                .body = "none",
                .framing = Framing::length},
     .on_the_way_up = drop_trailers,
     .record = "allow 404 300000/4"},
    {.name = "an empty POST",
     .request = {.start = "POST /a HTTP/1.1", .fields = {"Host: <A>"}, .framing = Framing::length},
     .answer = {.start = "HTTP/1.1 200 OK", .fields = {kDate}, .framing = Framing::length},
     .record = "allow 200 0/0"},
    {.name = "HTTP/1.0",
     .request = {.start = "GET /a HTTP/1.0", .fields = {"Host: <A>"}},
     .answer = {.start = "HTTP/1.1 200 OK",
                .fields = {kDate},
                .body = "hello",
                .framing = Framing::length},
     .on_the_way_up = [](WebMessage& request) { request.start = "GET /a HTTP/1.1"; },
     .on_the_way_down = [](WebMessage& answer) { answer.start = "HTTP/1.0 200 OK"; },
     .record = "allow 200 0/5"},
    {.name = "HTTP/1.0 gets chunks as they are",
     .request = {.start = "GET /a HTTP/1.0", .fields = {"Host: <A>"}},
     .answer = {.start = "HTTP/1.1 200 OK",
                .fields = {kDate},
                .body = kLarge,
                .framing = Framing::chunked},
     .on_the_way_up = [](WebMessage& request) { request.start = "GET /a HTTP/1.1"; },
     .on_the_way_down =
         [](WebMessage& answer) {
           answer.start = "HTTP/1.0 200 OK";
           answer.framing = Framing::until_close;
         },
     .record = "allow 200 0/300000"},
    {.name = "fields of the hop",
     .request = {.start = "GET /a HTTP/1.1",
                 .fields = {"Host: <A>", "Connection: X-Own", "X-Own: 1", "Keep-Alive: 5",
                            "Proxy-Authorization: x", "X-End: 2"}},
     .answer = {.start = "HTTP/1.1 200 OK",
                .fields = {kDate, "Connection: X-Hop", "X-Hop: 1", "X-End: 2"},
                .framing = Framing::length},
     .on_the_way_up = [](WebMessage& request) { request.fields = {request.fields[0], "X-End: 2"}; },
     .on_the_way_down = [](WebMessage& answer) { answer.fields = {kDate, "X-End: 2"}; },
     .record = "allow 200 0/0"},
};

bool ends_connection(const WebMessage& request) { return request.start.ends_with("1.0"); }

void expect_exchange(const Exchange& exchange, Way way) {
  SCOPED_TRACE(std::string(exchange.name) + ", " + name_of(way));
  PeerRig peers(way);
  peers.origin().answer_with([&](const WebMessage&) { return exchange.answer; });
  const WebMessage request = peers.filled(exchange.request);
  const WebMessage answer = peers.client().ask(request);
  WebMessage at_origin = request, at_client = exchange.answer;
  exchange.on_the_way_up(at_origin);
  exchange.on_the_way_down(at_client);
  ASSERT_EQ(peers.origin().requests().size(), 1U);
  EXPECT_EQ(lines_of(peers.origin().requests()[0]), lines_of(at_origin));
  EXPECT_TRUE(peers.origin().requests()[0].body == at_origin.body);
  EXPECT_EQ(lines_of(answer), lines_of(at_client));
  EXPECT_TRUE(answer.body == at_client.body);
  EXPECT_EQ(peers.records(), std::vector<std::string>{exchange.record});
  const std::string proper = is_secure(way) ? "close_notify" : "end";
  if (ends_connection(request)) EXPECT_EQ(peers.client().stream().read_end(), proper);
  EXPECT_EQ(peers.leftovers(), "");
}

}  // namespace

policy::Config PeerRig::usual_config() {
  policy::Config config;
  config.proxy.upstream_deny_cidrs = {"10.0.0.0/8"};
  config.transforms.push_back(
      {"allowlist", policy::parse_yaml("domains: [127.0.0.1, origin.test]")});
  return config;
}

namespace {

/// On `https_listen` the name that the client asks for is where it goes: no port can be told, and
/// the rig looks no names up.
std::string prepared(SessionRig& rig, HttpOrigin& origin, Way way) {
  if (is_secure(way)) rig.secure();
  if (way != Way::tls) return origin.authority();
  origin.be_pooled("origin.test");
  return "origin.test";
}

HttpOrigin::Tls tls_of(Way way) {
  return is_secure(way) ? HttpOrigin::Tls::trusted : HttpOrigin::Tls::none;
}

}  // namespace

PeerRig::PeerRig(Way way, policy::Config config, const SessionRig::Variables& variables)
    : rig_(std::move(config), variables),
      origin_(rig_, tls_of(way)),
      authority_(prepared(rig_, origin_, way)),
      client_(rig_, way, authority_),
      way_(way) {}

WebMessage PeerRig::filled(WebMessage message) const {
  for (std::string& field : message.fields) {
    const std::size_t at = field.find("<A>");
    if (at != field.npos) field.replace(at, 3, authority_);
  }
  return message;
}

std::vector<std::string> PeerRig::records() {
  std::vector<std::string> records;
  rig_.settle();
  for (const RigRecord& record : rig_.records()) records.push_back(record.text());
  if (way_ == Way::plain || way_ == Way::tls) return records;
  EXPECT_FALSE(records.empty());
  if (records.empty()) return records;
  EXPECT_EQ(records.front(), "allow 200 0/0");
  records.erase(records.begin());
  return records;
}

std::string PeerRig::leftovers() {
  client_.peer().close();
  // One limit may stand behind another.
  for (int i = 0; i < 4; ++i) rig_.advance(1h);
  return rig_.leftovers();
}

std::vector<std::string> lines_of(const WebMessage& message) {
  static constexpr const char* kFramings[] = {"none", "length", "chunked", "until close"};
  constexpr std::size_t kLong = 200, kEnd = 30;
  const std::string& body = message.body;
  std::vector<std::string> lines = {message.start};
  lines.insert(lines.end(), message.fields.begin(), message.fields.end());
  lines.push_back(std::string("framing: ") + kFramings[static_cast<int>(message.framing)]);
  lines.push_back(body.size() < kLong
                      ? "body: " + body
                      : "body: " + std::to_string(body.size()) + " bytes, " + body.substr(0, kEnd) +
                            "..." + body.substr(body.size() - kEnd));
  for (const std::string& trailer : message.trailers) lines.push_back("trailer: " + trailer);
  for (const std::string& start : message.interim) lines.push_back("interim: " + start);
  if (!message.fault.empty()) lines.push_back("fault: " + message.fault);
  return lines;
}

void expect_exchanges(const std::vector<Way>& ways) {
  for (const Way way : ways) {
    for (const Exchange& exchange : kExchanges) expect_exchange(exchange, way);
  }
}

void expect_keep_alive(const std::vector<Way>& ways) {
  for (const Way way : ways) {
    SCOPED_TRACE(name_of(way));
    PeerRig peers(way);
    for (int i = 0; i < 3; ++i) {
      const std::string body(static_cast<std::size_t>(i) * 30000, static_cast<char>('a' + i));
      const auto framing = i == 1 ? Framing::chunked : Framing::length;
      const WebMessage request =
          peers.filled({"POST /" + std::to_string(i) + " HTTP/1.1", {"Host: <A>"}, body, framing});
      peers.origin().answer_with([&](const WebMessage& seen) {
        return WebMessage{"HTTP/1.1 200 OK", {kDate}, seen.body + "!", framing};
      });
      const WebMessage answer = peers.client().ask(request);
      const WebMessage expected{"HTTP/1.1 200 OK", {kDate}, body + "!", framing};
      EXPECT_EQ(lines_of(answer), lines_of(expected));
      EXPECT_EQ(lines_of(peers.origin().requests().back()), lines_of(request));
    }
    EXPECT_EQ(peers.origin().requests().size(), 3U);
    EXPECT_EQ(peers.origin().connections(), 1U);
    const std::vector<std::string> records = {"allow 200 0/1", "allow 200 30000/30001",
                                              "allow 200 60000/60001"};
    EXPECT_EQ(peers.records(), records);
    EXPECT_EQ(peers.leftovers(), "");
  }
}

void expect_continue(const std::vector<Way>& ways) {
  for (const Way way : ways) {
    for (const Framing framing : {Framing::length, Framing::chunked}) {
      SCOPED_TRACE(name_of(way));
      PeerRig peers(way);
      const WebMessage request =
          peers.filled({"PUT /a HTTP/1.1", {"Host: <A>", "Expect: 100-continue"}, kLarge, framing});
      peers.client().send_head(request);
      const bool told =
          peers.rig().turn_until([&] { return peers.client().stream().raw().readable(); });
      ASSERT_TRUE(told) << "no 100 Continue";
      peers.client().send_body(request);
      const WebMessage answer = peers.client().receive();
      EXPECT_EQ(answer.interim, std::vector<std::string>{"HTTP/1.1 100 Continue"});
      EXPECT_EQ(answer.body, "ok");
      EXPECT_EQ(answer.fault, "");
      ASSERT_EQ(peers.origin().requests().size(), 1U);
      EXPECT_EQ(lines_of(peers.origin().requests()[0]), lines_of(request));
      EXPECT_TRUE(peers.origin().requests()[0].body == kLarge);
      EXPECT_EQ(peers.records(), std::vector<std::string>{"allow 200 300000/2"});
      EXPECT_EQ(peers.leftovers(), "");
    }
  }
}

}  // namespace iron::proxy::test
