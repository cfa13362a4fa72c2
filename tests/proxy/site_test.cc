#include "proxy/exchange/site.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/proxy/session_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

class SiteTest : public testing::Test {
 protected:
  Site& site() { return rig_.site(); }
  test::SessionRig rig_;
};

TEST_F(SiteTest, ARequestGetsTheStateOfOneBeforeItWithoutItsContent) {
  RequestState* known = nullptr;
  {
    const RequestStatePtr state = site().take_request_state();
    known = state.get();
    state->exchange.path = "/secret";
    state->upstream_address = "10.0.0.1:80";
    const RequestStatePtr other = site().take_request_state();
    EXPECT_NE(other.get(), known) << "it is somebody's";
  }
  const RequestStatePtr again = site().take_request_state();
  EXPECT_EQ(again.get(), known) << "the last that came back";
  EXPECT_EQ(again->exchange.path, "");
  EXPECT_EQ(again->upstream_address, "");
}

TEST_F(SiteTest, TheOnlyRequestsRecordLeavesAtOnce) {
  RecordBatch& batch = site().recorder().batch();
  RecordBatch::Wait wait(batch);
  const auto record = [&] {
    batch.lines() += "{\"audit\":{\"action\":\"allow\"}}\n";
    batch.added(wait);
    return rig_.records().size();
  };
  const RequestStatePtr first = site().take_request_state();
  EXPECT_EQ(record(), 1u);
  RequestStatePtr second = site().take_request_state();
  EXPECT_EQ(record(), 1u) << "it may share a write";
  rig_.settle();
  EXPECT_EQ(rig_.records().size(), 2u);
  second.reset();
  EXPECT_EQ(record(), 3u);
}

TEST_F(SiteTest, ANewSnapshotMakesNoUseOfConnectionsOfTheOldOne) {
  const test::ScriptedPeer& origin = rig_.add_origin();
  rig_.add_origin("10.0.0.2");
  const std::shared_ptr<const Snapshot> before = site().snapshot();
  EXPECT_EQ(site().pool().idle_count(), 2u);
  rig_.reload(test::SessionRig::usual_config());
  EXPECT_NE(site().snapshot(), before);
  EXPECT_EQ(site().pool().idle_count(), 0u);
  rig_.settle();
  EXPECT_EQ(origin.end(), test::ScriptedPeer::End::eof);
}

TEST_F(SiteTest, TellsOnceThatTheDrainIsOver) {
  int idle = 0;
  site().on_idle([&] { ++idle; });
  site().session_started();
  site().session_started();
  site().session_ended();
  site().session_ended();
  EXPECT_EQ(idle, 0) << "the drain has not begun";
  site().session_started();
  site().session_started();
  site().begin_drain();
  EXPECT_EQ(site().session_count(), 2u);
  site().session_ended();
  EXPECT_EQ(idle, 0);
  site().session_ended();
  EXPECT_EQ(idle, 1);
  site().begin_drain();
  site().session_started();
  site().session_ended();
  EXPECT_EQ(idle, 1);
}

TEST_F(SiteTest, ADrainWithoutSessionsIsOverAtOnce) {
  rig_.add_origin();
  int idle = 0;
  site().on_idle([&] { ++idle; });
  site().begin_drain();
  EXPECT_EQ(idle, 1);
  EXPECT_TRUE(site().loop().draining());
  EXPECT_EQ(site().pool().idle_count(), 0u);
}

TEST_F(SiteTest, AnEndedSessionHasReleasedMemory) {
  const std::uint64_t before = rig_.services().released;
  site().session_started();
  EXPECT_EQ(rig_.services().released, before);
  site().session_ended();
  EXPECT_EQ(rig_.services().released, before + 1);
}

}  // namespace
}  // namespace iron::proxy
