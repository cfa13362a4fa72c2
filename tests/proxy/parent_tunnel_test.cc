#include "proxy/net/parent_tunnel.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>

#include "tests/proxy/socket_ends.h"
#include "tests/proxy/wait_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using policy::ProxyUrl;

struct Client final : Abandonment {
  bool abandoned() override { return gone; }
  bool gone = false;
};

/// The test is the parent.
class ParentTunnelTest : public WaitTest {
 protected:
  ~ParentTunnelTest() override {
    loop_.cut_all();
    settle();
  }
  void begin(const std::string& url) {
    parent_ = ProxyUrl::parse(url);
    spawn(run());
    settle();
  }
  Task<void> run() {
    ParentHandshake::Target target{"a.test", 443, std::nullopt, std::nullopt};
    ParentHandshake handshake(parent_, target);
    outcome_ = co_await open_tunnel(connection_, pause_, handshake, client_, 5s);
  }
  void say(const std::string& bytes) {
    ends_.send(bytes);
    for (int i = 0; i < 3; ++i) loop_.turn(2ms);
    settle();
  }
  std::string outcome() {
    for (int i = 0; i < 3; ++i) loop_.turn(2ms);
    settle();
    if (!outcome_) return "goes on";
    return outcome_->has_error() ? outcome_->error().text : "open";
  }

  SocketEnds ends_;
  Connection connection_{loop_, ends_.give_away()};
  Pause pause_{loop_};
  Client client_;
  ProxyUrl parent_;
  std::optional<Result<void>> outcome_;
};

TEST_F(ParentTunnelTest, WhatComesBehindTheAnswerIsTheTunnels) {
  connection_.set_pause(&pause_);
  begin("http://p");
  EXPECT_TRUE(ends_.received().starts_with("CONNECT a.test:443 HTTP/1.1\r\n"));
  say("HTTP/1.1 20");
  EXPECT_EQ(outcome(), "goes on");
  say("0 OK\r\n\r\nhello");
  EXPECT_EQ(outcome(), "open");
  char room[16];
  const IoResult got = connection_.read(room);
  EXPECT_EQ(std::string(room, got.size), "hello");
  advance(10s);
  EXPECT_FALSE(pause_.expired()) << "its time is over with it";
}

TEST_F(ParentTunnelTest, SpeaksInTurns) {
  connection_.set_pause(&pause_);
  begin("socks5h://u:p@p");
  EXPECT_EQ(ends_.received(), std::string("\x05\x02\x00\x02", 4));
  say("\x05\x02");
  EXPECT_EQ(ends_.received(), "\x01\x01u\x01p");
  say(std::string("\x01\x00", 2));
  EXPECT_EQ(ends_.received(), std::string("\x05\x01\x00\x03\x06", 5) + "a.test\x01\xbb");
  say(std::string("\x05\x00\x00\x01\0\0\0\0\0\0", 10) + "hello");
  EXPECT_EQ(outcome(), "open");
  char room[16];
  const IoResult got = connection_.read(room);
  EXPECT_EQ(std::string(room, got.size), "hello");
}

TEST_F(ParentTunnelTest, Fails) {
  connection_.set_pause(&pause_);
  begin("http://p");
  say("HTTP/1.1 503 Nope\r\n\r\n");
  EXPECT_EQ(outcome(), "Nope (HTTP 503)");
}

TEST_F(ParentTunnelTest, EndsWithTheParent) {
  connection_.set_pause(&pause_);
  begin("http://p");
  ends_.close();
  EXPECT_EQ(outcome(), "unexpected EOF");
}

TEST_F(ParentTunnelTest, IsNotWaitedForLonger) {
  connection_.set_pause(&pause_);
  begin("http://p");
  advance(4s);
  say("HTTP");
  EXPECT_EQ(outcome(), "goes on");
  advance(2s);
  EXPECT_EQ(outcome(), "proxyconnect tcp: i/o timeout");
}

TEST_F(ParentTunnelTest, EndsWithItsClient) {
  connection_.set_pause(&pause_);
  begin("http://p");
  client_.gone = true;
  pause_.wake();
  EXPECT_EQ(outcome(), "client gone");
  EXPECT_EQ(outcome_->error().fault, Fault::client_gone);
}

TEST_F(ParentTunnelTest, EndsWithTheDrain) {
  connection_.set_pause(&pause_);
  begin("http://p");
  loop_.cut_all();
  EXPECT_EQ(outcome(), "client gone");
}

}  // namespace
}  // namespace iron::proxy
