#include "proxy/net/own_upstreams.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/proxy/allocated_bytes.h"
#include "tests/proxy/upstream_rig.h"
#include "tests/tls/stream_pair.h"

namespace iron::proxy {
namespace {

class OwnUpstreamsTest : public UpstreamTest {
 protected:
  std::shared_ptr<const void> snapshot_ = std::make_shared<int>();
  OwnUpstreams own_;
};

TEST_F(OwnUpstreamsTest, AreLentByKey) {
  EXPECT_TRUE(own_.empty());
  UpstreamPtr one = connect("a"), two = connect("b");
  const UpstreamConnection* const kept = one.get();
  own_.keep(std::move(one), snapshot_);
  own_.keep(std::move(two), snapshot_);
  settle();
  EXPECT_FALSE(own_.empty());
  EXPECT_EQ(own_.take("c", snapshot_), nullptr);
  const UpstreamPtr taken = own_.take("a", snapshot_);
  EXPECT_EQ(taken.get(), kept);
  EXPECT_TRUE(taken->reused);
  EXPECT_EQ(own_.take("a", snapshot_), nullptr);
  EXPECT_EQ(own_.size(), 1u);
}

TEST_F(OwnUpstreamsTest, WhatEndedIsClosedInsteadOfLent) {
  SocketEnds* peer = nullptr;
  own_.keep(connect("a", &peer), snapshot_);
  peer->end_sending();
  EXPECT_EQ(own_.take("a", snapshot_), nullptr) << "the kernel is asked, no loop ran";
  EXPECT_TRUE(own_.empty());
  EXPECT_TRUE(peer->ended());
}

TEST_F(OwnUpstreamsTest, AnAnswerNobodyAskedForIsNotServed) {
  SocketEnds *before = nullptr, *later = nullptr;
  UpstreamPtr early = connect("a", &before);
  before->send("HTTP/1.1 200 OK\r\n\r\n");
  settle();
  own_.keep(std::move(early), snapshot_);
  EXPECT_TRUE(own_.empty()) << "it was there when the request was over";
  EXPECT_TRUE(before->ended());
  own_.keep(connect("a", &later), snapshot_);
  later->send("HTTP/1.1 200 OK\r\n\r\n");
  settle();
  EXPECT_EQ(own_.take("a", snapshot_), nullptr);
  EXPECT_TRUE(later->ended());
}

TEST_F(OwnUpstreamsTest, ANewConfigurationGetsNewConnections) {
  SocketEnds* peer = nullptr;
  own_.keep(connect("a", &peer), snapshot_);
  EXPECT_EQ(own_.take("a", std::make_shared<int>()), nullptr);
  EXPECT_TRUE(peer->ended());
  EXPECT_EQ(own_.take("a", snapshot_), nullptr) << "the old one is closed";
}

TEST_F(OwnUpstreamsTest, KeepNoOldConfiguration) {
  own_.keep(connect("a"), snapshot_);
  const std::weak_ptr<const void> old = snapshot_;
  snapshot_ = std::make_shared<int>();
  EXPECT_TRUE(old.expired());
  EXPECT_EQ(own_.take("a", snapshot_), nullptr) << "not even when its own is gone";
}

TEST_F(OwnUpstreamsTest, BeyondEightTheOldestIsClosed) {
  SocketEnds* oldest = nullptr;
  own_.keep(connect("0", &oldest), snapshot_);
  for (int i = 1; i < 8; ++i) own_.keep(connect(std::to_string(i)), snapshot_);
  EXPECT_FALSE(oldest->ended());
  own_.keep(connect("8"), snapshot_);
  EXPECT_TRUE(oldest->ended());
  EXPECT_EQ(own_.size(), 8u);
  EXPECT_EQ(own_.take("0", snapshot_), nullptr);
  EXPECT_NE(own_.take("1", snapshot_), nullptr);
  EXPECT_NE(own_.take("8", snapshot_), nullptr);
}

TEST_F(OwnUpstreamsTest, AnIdleOneIsNobodysWork) {
  Pause pause(loop_);
  Connection* slot = nullptr;
  SocketEnds* peer = nullptr;
  UpstreamPtr connection = connect("a", &peer);
  connection->set_user(&slot);
  connection->connection.set_pause(&pause);
  own_.keep(std::move(connection), snapshot_);
  EXPECT_EQ(slot, nullptr);
  spawn(sleep(pause, "owner"));
  peer->send("x");
  settle();
  EXPECT_EQ(trail_, Trail());
  pause.wake();
  settle();
}

TEST_F(OwnUpstreamsTest, GiveTheirRecordBuffersBack) {
  tls::test::Authority authority;
  const tls::UpstreamContext upstream(authority.trust());
  const tls::ServerContext server;
  const auto ends = tls::test::connected_pair();
  auto connection = std::make_unique<UpstreamConnection>(loop_, ends.first);
  tls::Stream& near = connection->connection.stream();
  tls::Stream far(ends.second);
  far.start_server(server, authority.leaves(), {});
  const auto sessions = std::make_shared<tls::SessionStore>();
  ASSERT_TRUE(near.start_client(upstream, "h.test", false, nullptr, sessions).has_value());
  const tls::test::Outcome outcome = tls::test::shake(far, near, authority.leaves());
  ASSERT_EQ(outcome.client, Io::ok);
  ASSERT_EQ(outcome.server, Io::ok);
  tls::test::write_everything(far, "x");  // and the tickets
  ASSERT_EQ(tls::test::read_exactly(near, 1), "x");
  own_.keep(std::move(connection), snapshot_);
  ASSERT_EQ(own_.size(), 1u);
  const std::size_t before = allocated_bytes();
  own_.free_buffers();
  if (before > 0) {
    EXPECT_GE(before - allocated_bytes(), 16384u) << "at least a record";
  }
  EXPECT_NE(own_.take("", snapshot_), nullptr);
}

}  // namespace
}  // namespace iron::proxy
