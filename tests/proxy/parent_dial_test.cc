#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>
#include <string>
#include <utility>

#include "tests/proxy/dialer_rig.h"

namespace iron::proxy {
namespace {

/// Dials by way of a parent that the test plays.
class ParentDialTest : public DialerTest {
 protected:
  void dial_through(const std::string& url, const std::string& host, bool tunnel = true) {
    url_ = policy::ProxyUrl::parse(url);
    hop_ = ParentHop{};
    hop_.url = &url_;
    hop_.tunnel = tunnel;
    hop_.checked = checked_;
    set_addresses({"127.0.0.1"});
    outcome_.reset();
    target_.host = host;
    target_.literal = policy::IpAddress::parse(host);
    target_.port = 443;
    UpstreamPool::make_key(target_, url_, tunnel, key_);
    spawn(run_through());
    settle();
  }
  Task<void> run_through() {
    const DialRequest request{deny_, target_, key_, client_, address_, &hop_};
    outcome_ = co_await dialer_->dial_tcp(pause_, request);
  }
  std::string url(const std::string& scheme, const std::string& host = "127.0.0.1") const {
    return scheme + "://" + host + ":" + std::to_string(parent_.port());
  }
  /// What the parent reads next; it answers with `answer`.
  std::string asked(const std::string& answer) {
    const auto here = [this] {
      if (accepted_.get() < 0) accepted_ = parent_.accept();
      return accepted_.get() >= 0;
    };
    EXPECT_TRUE(settle_until(here));
    std::string got;
    const auto came = [&] {
      char room[512];
      const auto size = ::recv(accepted_.get(), room, sizeof room, 0);
      if (size > 0) got.append(room, static_cast<std::size_t>(size));
      return !got.empty();
    };
    EXPECT_TRUE(settle_until(came));
    EXPECT_EQ(::send(accepted_.get(), answer.data(), answer.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(answer.size()));
    return got;
  }

  const Origin parent_{"127.0.0.1", 0};
  BoundSocket accepted_;
  policy::ProxyUrl url_;
  ParentHop hop_;
  std::optional<policy::IpAddress> checked_;
};

TEST_F(ParentDialTest, TheTunnelIsTheParents) {
  deny_ = policy::DenyList({"127.0.0.0/8"});  // which concerns no parent
  dial_through(url("http", "parent.test"), "a.test");
  EXPECT_TRUE(asked("HTTP/1.1 200 OK\r\n\r\n").starts_with("CONNECT a.test:443 HTTP/1.1\r\n"));
  EXPECT_EQ(result(), "connected " + parent_.address());
  EXPECT_EQ(address_, parent_.address());
  EXPECT_EQ((**outcome_)->key, "http://a.test:443 through " + url("http", "parent.test"));
}

TEST_F(ParentDialTest, RequestsToTheParentNeedNoTunnel) {
  dial_through(url("http"), "a.test", false);
  EXPECT_EQ(result(), "connected " + parent_.address());
  EXPECT_EQ((**outcome_)->key, "requests to " + url("http"));
}

TEST_F(ParentDialTest, OnlySocks5GetsTheCheckedAddress) {
  for (const auto& [scheme, type] :
       std::vector<std::pair<std::string, char>>{{"socks5", '\x01'}, {"socks5h", '\x03'}}) {
    accepted_ = BoundSocket();
    checked_ = policy::IpAddress::parse("192.0.2.1");
    dial_through(url(scheme), "a.test");
    asked(std::string("\x05\x00", 2));
    EXPECT_EQ(asked(std::string("\x05\x00\x00\x01\0\0\0\0\0\0", 10)).at(3), type) << scheme;
    EXPECT_EQ(result(), "connected " + parent_.address());
  }
}

TEST_F(ParentDialTest, FailuresAreNamedAsRecordsHaveThem) {
  std::uint16_t port = 0;
  {
    const Origin gone("127.0.0.1", 0);
    port = gone.port();
  }
  const std::string nobody = "127.0.0.1:" + std::to_string(port);
  dial_through("socks5://" + nobody, "a.test");
  EXPECT_EQ(result(), "proxyconnect tcp: dial tcp " + nobody + ": connect: connection refused");
  dial_through("http://nx.test", "a.test");
  EXPECT_EQ(result(), "proxyconnect tcp: dial tcp: lookup nx.test on 127.0.0.1:53: no such host");
  dial_through("ftp://x", "127.0.0.1");
  EXPECT_EQ(result(), "proxyconnect tcp: unsupported proxy URL");
  accepted_ = BoundSocket();
  dial_through(url("http"), "a.test");
  asked("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
  EXPECT_EQ(result(), "Proxy Authentication Required (HTTP 407)");
  own_.add(*policy::IpAddress::parse("127.0.0.1"), parent_.port());
  dial_through(url("http"), "a.test");
  EXPECT_EQ(result(), "proxyconnect tcp: dial tcp " + parent_.address() + ": own listener");
  client_.gone = true;
  dial_through(url("http"), "a.test");
  EXPECT_EQ(result(), "client gone");
}

}  // namespace
}  // namespace iron::proxy
