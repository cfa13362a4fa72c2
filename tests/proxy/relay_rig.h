#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "proxy/net/relay.h"
#include "tests/proxy/scripted_peer.h"
#include "tests/proxy/wait_rig.h"

namespace iron::proxy {

/// A relay between two peers of the test.
class RelayTest : public WaitTest {
 protected:
  RelayTest() { rules_.stall = std::chrono::seconds(60); }
  ~RelayTest() override {
    if (client_ == nullptr) return;
    loop_.cut_all();
    settle();
  }

  /// A relay that is new in all.
  void connect(test::Link link = test::Link::local) {
    leave();
    ended_.reset();
    up_ = RelayFlow();
    down_ = RelayFlow();
    const test::SocketPair client(link), upstream(link);
    near_client_ = std::make_unique<Connection>(loop_, client.session);
    near_upstream_ = std::make_unique<Connection>(loop_, upstream.session);
    client_ = std::make_unique<test::ScriptedPeer>(client.peer);
    upstream_ = std::make_unique<test::ScriptedPeer>(upstream.peer);
    near_client_->set_pause(&pause_);
    near_upstream_->set_pause(&pause_);
    up_.from = down_.to = near_client_.get();
    up_.to = down_.from = near_upstream_.get();
    up_.first_bytes = first_bytes_;
    if (early_.empty()) return;
    up_.buffer = buffers_.take(BufferPool::kSmall);
    up_.buffer.append(early_);
  }
  void begin(test::Link link = test::Link::local) {
    connect(link);
    spawn(run());
    settle();
  }
  Task<void> run() {
    ended_ = co_await relay(pause_, buffers_, up_, down_, rules_);
    // As the session does, whose end is the relay's.
    near_client_.reset();
    near_upstream_.reset();
  }
  /// Both ends go, so that a relay that is under way ends.
  void leave() {
    if (client_ == nullptr || !under_way()) return;
    client_.reset();
    upstream_.reset();
    while (loop_.turn()) {
    }
    EXPECT_FALSE(under_way());
  }
  bool move() {
    const bool client = client_->move();
    const bool upstream = upstream_->move();
    return client || upstream;
  }
  void settle() {
    while (loop_.turn() || move()) {
    }
  }
  void advance(std::chrono::nanoseconds by) {
    clock_.advance(by);
    settle();
  }
  /// For what comes from the kernel.
  template <class Done>
  bool settle_until(Done done) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!done() && std::chrono::steady_clock::now() < limit) {
      settle();
      ::poll(nullptr, 0, 1);
    }
    return done();
  }
  bool under_way() const { return !ended_.has_value(); }

  Pause pause_{loop_};
  BufferPool buffers_;
  std::unique_ptr<Connection> near_client_, near_upstream_;
  std::unique_ptr<test::ScriptedPeer> client_, upstream_;
  RelayFlow up_, down_;
  std::string early_;                  ///< is in the buffer when the relay begins
  FirstBytes* first_bytes_ = nullptr;  ///< judges what the client sends
  RelayRules rules_;
  std::optional<RelayEnd> ended_;
};

}  // namespace iron::proxy
