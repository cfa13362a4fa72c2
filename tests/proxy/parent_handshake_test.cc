#include "proxy/net/parent_handshake.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace iron::proxy {
namespace {

using policy::IpAddress;
using policy::ProxyUrl;
using Target = ParentHandshake::Target;
using Step = ParentHandshake::Step;
using namespace std::string_literals;

Target named(std::uint16_t port = 443) { return {"a.test", port, std::nullopt, std::nullopt}; }
Target literal(const std::string& text) {
  return {text, 443, IpAddress::parse(text), std::nullopt};
}

std::string sent_by(ParentHandshake& handshake) {
  std::string out(handshake.output());
  handshake.sent(out.size());
  EXPECT_TRUE(handshake.output().empty());
  return out;
}

/// What becomes of an answer that comes in pieces of `size`, and the surplus or the error.
std::string outcome(ParentHandshake& handshake, std::string_view answer, std::size_t size) {
  Step step = Step::goes_on;
  std::string_view rest = answer;
  while (step == Step::goes_on && !rest.empty()) {
    step = handshake.take(rest.substr(0, size));
    rest.remove_prefix(std::min(size, rest.size()));
    if (!handshake.output().empty()) sent_by(handshake);
  }
  if (step == Step::goes_on) return "goes on";
  if (step == Step::failed) return handshake.error().text;
  return "open, " + std::string(handshake.surplus()) + std::string(rest);
}

TEST(ParentConnect, AsksForTheTarget) {
  struct Case {
    const char* parent;
    Target target;
    const char* request;
  };
  const Case cases[] = {
      {"http://p.test", named(),
       "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nUser-Agent: iron-proxy\r\n\r\n"},
      {"https://u:p@p.test", named(80),
       "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\nUser-Agent: iron-proxy\r\n"
       "Proxy-Authorization: Basic dTpw\r\n\r\n"},
      {"http://p.test", literal("2001:db8::1"),
       "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"
       "User-Agent: iron-proxy\r\n\r\n"},
  };
  for (const Case& one : cases) {
    const ProxyUrl parent = ProxyUrl::parse(one.parent);
    ParentHandshake handshake(parent, one.target);
    EXPECT_EQ(handshake.output(), one.request);
    EXPECT_EQ(handshake.wanted(), 0u);
  }
  // It leaves piece by piece, and is wiped when all has left.
  const ProxyUrl parent = ProxyUrl::parse("http://u:p@p.test");
  ParentHandshake handshake(parent, named());
  const char* const place = handshake.output().data();
  const std::size_t size = handshake.output().size();
  handshake.sent(8);
  EXPECT_TRUE(handshake.output().starts_with("a.test:443 "));
  EXPECT_EQ(place[0], 'C');
  handshake.sent(size - 8);
  EXPECT_TRUE(handshake.output().empty());
  EXPECT_EQ(std::string(place, size), std::string(size, '\0'));
}

TEST(ParentConnect, ReadsTheAnswer) {
  struct Case {
    std::string answer, outcome;
  };
  const Case cases[] = {
      {"HTTP/1.1 200 OK\r\n\r\n", "open, "},
      {"HTTP/1.0 200 Connection established\r\nA: b\r\nContent-Length: 5\r\n\r\nhello",
       "open, hello"},
      {"HTTP/1.1 299\r\n\r\n\r\n", "open, \r\n"},
      {"HTTP/1.1 200 OK\n\nhello", "open, hello"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx",
       "open, x"},
      {"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
       "Proxy Authentication Required (HTTP 407)"},
      {"HTTP/1.1 503 Nope\r\n\r\n", "Nope (HTTP 503)"},
      {"HTTP/1.1 503\r\n\r\n", "(HTTP 503)"},
      {"HTTP/1.1 101 Switching\r\n\r\n", "Switching (HTTP 101)"},
      {"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", "Found (HTTP 302)"},
      {"hello\r\n", "malformed HTTP response \"hello\""},
      {"hello\n", "malformed HTTP response \"hello\""},
      {"\r\n", "malformed HTTP response \"\""},
      {"HTTP/1.1 20 OK\r\n", "malformed HTTP response \"HTTP/1.1 20 OK\""},
      {"HTTP/1.1 2000 OK\r\n", "malformed HTTP response \"HTTP/1.1 2000 OK\""},
      {"HTTP/1.1 0x0 OK\r\n", "malformed HTTP response \"HTTP/1.1 0x0 OK\""},
      {"HTTP/2.0 200 OK\r\n", "malformed HTTP response \"HTTP/2.0 200 OK\""},
      {"HTTP/1.1 200 OK\r\nA: b\r\n", "goes on"},
      {"HTTP/1.1 100 Continue\r\n\r\n", "goes on"},
      {std::string(65537, 'a'), "net/http: server response headers exceeded 65536 bytes; aborted"},
      {"HTTP/1.1 200 OK\r\nA: " + std::string(65536, 'a') + "\r\n\r\n",
       "net/http: server response headers exceeded 65536 bytes; aborted"},
      {std::string(300, 'a') + "\n", "malformed HTTP response \"" + std::string(256, 'a') + "\""},
      {"HTTP/1.1 503 " + std::string(300, 'a') + "\r\n\r\n", std::string(256, 'a') + " (HTTP 503)"},
  };
  const ProxyUrl parent = ProxyUrl::parse("http://p.test");
  for (const Case& one : cases) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{7}, one.answer.size()}) {
      ParentHandshake handshake(parent, named());
      sent_by(handshake);
      EXPECT_EQ(outcome(handshake, one.answer, size), one.outcome) << one.answer.substr(0, 80);
    }
  }
}

TEST(ParentConnect, NoErrorRepeatsTheLogin) {
  const ProxyUrl parent = ProxyUrl::parse("http://user:hunter2@p.test");
  for (const auto& [answer, error] : std::vector<std::pair<std::string, std::string>>{
           {"HTTP/1.1 503 no hunter2\r\n\r\n", "(HTTP 503)"},
           {"Proxy-Authorization: Basic dXNlcjpodW50ZXIy\r\n", "malformed HTTP response"},
           {"HTTP/1.1 503 Nope\r\n\r\n", "Nope (HTTP 503)"},
           {"hello\r\n", "malformed HTTP response \"hello\""}}) {
    ParentHandshake handshake(parent, named());
    EXPECT_EQ(outcome(handshake, answer, 4), error);
  }
}

TEST(ParentConnect, EndsAndSilences) {
  const ProxyUrl parent = ProxyUrl::parse("http://p.test");
  ParentHandshake ended(parent, named()), silent(parent, named());
  EXPECT_EQ(ended.ended(), Step::failed);
  EXPECT_EQ(ended.error().text, "unexpected EOF");
  EXPECT_EQ(silent.timed_out(), Step::failed);
  EXPECT_EQ(silent.error().text, "proxyconnect tcp: i/o timeout");
}

/// Both sides of a SOCKS exchange: what is sent, and what is answered in turn.
struct Exchange {
  const char* parent;
  Target target;
  std::vector<std::string> sent, answered;
  std::string outcome;
};

TEST(ParentSocks, AsksForTheTarget) {
  const std::string bound = "\x05\x00\x00\x01\0\0\0\0\0\0"s, plain = "\x05\x00"s,
                    login = "\x05\x02";
  const std::string name = "\x05\x01\x00\x03\x06"s + "a.test\x01\xbb";
  Target checked = named();
  checked.checked = IpAddress::parse("192.0.2.7");
  const Exchange cases[] = {
      {"socks5h://p.test", named(), {"\x05\x01\x00"s, name}, {plain, bound}, "open"},
      {"socks5://p.test", named(), {"\x05\x01\x00"s, name}, {plain, bound}, "open"},
      {"socks5://p.test",
       checked,
       {"\x05\x01\x00"s, "\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xbb"s},
       {plain, bound},
       "open"},
      {"socks5h://p.test",
       literal("192.0.2.1"),
       {"\x05\x01\x00"s, "\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb"s},
       {plain, "\x05\x00\x00\x03\x03"s + "abc\0\0"s},
       "open"},
      {"socks5://p.test",
       literal("2001:db8::1"),
       {"\x05\x01\x00"s, "\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb"s},
       {plain, "\x05\x00\x00\x04"s + std::string(18, '\0')},
       "open"},
      {"socks5://us:pwd@p.test",
       named(),
       {"\x05\x02\x00\x02"s, "\x01\x02us\x03pwd", name},
       {login, "\x01\x00"s, bound},
       "open"},
      {"socks5://us@p.test",
       named(),
       {"\x05\x02\x00\x02"s, "\x01\x02us\x00"s, name},
       {login, "\x01\x00"s, bound},
       "open"},
      {"socks5://us:pwd@p.test", named(), {"\x05\x02\x00\x02"s, name}, {plain, bound}, "open"},
      {"socks5://us:pwd@p.test",
       named(),
       {"\x05\x02\x00\x02"s, "\x01\x02us\x03pwd"},
       {login, "\x01\x01"},
       "username/password authentication failed"},
      {"socks5://p.test",
       named(),
       {"\x05\x01\x00"s},
       {login},
       "no acceptable authentication methods"},
      {"socks5://p.test",
       named(),
       {"\x05\x01\x00"s},
       {"\x05\xff"},
       "no acceptable authentication methods"},
      {"socks5://p.test",
       named(),
       {"\x05\x01\x00"s},
       {"\x05\x01"},
       "unsupported authentication method 1"},
      {"socks5://p.test", named(), {"\x05\x01\x00"s}, {"HT"}, "unexpected protocol version 72"},
      {"socks5://p.test",
       named(),
       {"\x05\x01\x00"s, name},
       {plain, "\x05\x02"},
       "unknown error connection not allowed by ruleset"},
      {"socks5://p.test",
       named(),
       {"\x05\x01\x00"s, name},
       {plain, "\x05\x09"},
       "unknown error unknown code: 9"},
      {"socks5://p.test",
       named(),
       {"\x05\x01\x00"s, name},
       {plain, "\x05\x08"},
       "unknown error address type not supported"},
      {"socks5://p.test",
       named(),
       {"\x05\x01\x00"s, name},
       {plain, "x"},
       "unexpected protocol version 120"},
      {"socks5://p.test",
       named(),
       {"\x05\x01\x00"s, name},
       {plain, "\x05\x00\x00\x02\x00"s},
       "unknown address type 2"},
      {"socks5://p.test",
       {std::string(256, 'a'), 1, std::nullopt, std::nullopt},
       {"\x05\x01\x00"s},
       {plain},
       "FQDN too long"},
  };
  for (const Exchange& one : cases) {
    SCOPED_TRACE(one.outcome);
    const ProxyUrl parent = ProxyUrl::parse(one.parent);
    ParentHandshake handshake(parent, one.target);
    Step step = Step::goes_on;
    for (std::size_t i = 0; i < one.answered.size(); ++i) {
      if (i < one.sent.size()) EXPECT_EQ(sent_by(handshake), one.sent[i]);
      std::string_view rest = one.answered[i];
      while (!rest.empty() && step == Step::goes_on) {
        ASSERT_GT(handshake.wanted(), 0u);
        const std::string_view piece = rest.substr(0, std::min<std::size_t>(handshake.wanted(), 3));
        step = handshake.take(piece);
        rest.remove_prefix(piece.size());
      }
    }
    if (one.outcome == "open") {
      EXPECT_EQ(step, Step::open);
      EXPECT_EQ(handshake.surplus(), "");
    } else {
      EXPECT_EQ(step, Step::failed);
      EXPECT_EQ(handshake.error().text,
                "socks connect tcp p.test:1080->" + one.target.text() + ": " + one.outcome);
    }
  }
}

TEST(ParentSocks, EndsAndSilences) {
  const ProxyUrl parent = ProxyUrl::parse("socks5://[2001:db8::2]:9");
  const std::string where = "socks connect tcp [2001:db8::2]:9->a.test:443: ";
  ParentHandshake ended(parent, named()), cut(parent, named()), silent(parent, named());
  ended.ended();
  EXPECT_EQ(ended.error().text, where + "EOF");
  cut.take("\x05");
  cut.ended();
  EXPECT_EQ(cut.error().text, where + "unexpected EOF");
  silent.timed_out();
  EXPECT_EQ(silent.error().text, where + "i/o timeout");
}

}  // namespace
}  // namespace iron::proxy
