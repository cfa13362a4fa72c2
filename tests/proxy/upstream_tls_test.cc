#include "proxy/net/upstream_tls.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <future>
#include <optional>
#include <thread>

namespace iron::proxy {
namespace {

/// No certificate is trusted, which is loaded in no time.
class UpstreamTlsTest : public testing::Test {
 protected:
  UpstreamTlsTest() {
    ::setenv("SSL_CERT_FILE", "/dev/null", 1);
    ::setenv("SSL_CERT_DIR", "/dev/null", 1);
  }
  ~UpstreamTlsTest() override {
    ::unsetenv("SSL_CERT_FILE");
    ::unsetenv("SSL_CERT_DIR");
  }
};

TEST_F(UpstreamTlsTest, IsLoadedAtFirstUseOnAThreadOfItsOwn) {
  UpstreamTls tls;
  EXPECT_EQ(tls.get(), nullptr);
  std::promise<std::thread::id> told;
  const tls::UpstreamContext* seen = nullptr;
  tls.load([&] {
    seen = tls.get();
    told.set_value(std::this_thread::get_id());
  });
  EXPECT_NE(told.get_future().get(), std::this_thread::get_id());
  EXPECT_NE(seen, nullptr) << "who is told finds it";
  EXPECT_EQ(tls.get(), seen);
}

TEST_F(UpstreamTlsTest, AllWhoWaitGetTheSameOne) {
  UpstreamTls tls;
  constexpr int kWaiting = 8;
  std::promise<void> go_on;
  std::shared_future<void> may_go_on = go_on.get_future().share();
  std::atomic<int> told{0};
  std::promise<void> all_told;
  const auto tell = [&] {
    if (++told == kWaiting) all_told.set_value();
  };
  // The first one keeps the thread from its end, whatever the others do.
  tls.load([&] {
    may_go_on.wait();
    tell();
  });
  for (int i = 1; i < kWaiting; ++i) tls.load(tell);
  go_on.set_value();
  all_told.get_future().wait();
  const tls::UpstreamContext* const first = tls.get();
  std::optional<std::thread::id> thread;
  tls.load([&] { thread = std::this_thread::get_id(); });
  EXPECT_EQ(thread, std::this_thread::get_id()) << "what is here is told at once";
  EXPECT_EQ(tls.get(), first);
}

TEST_F(UpstreamTlsTest, ALoadUnderWayIsLeftAloneAndOneThatIsDoneIsJoined) {
  UpstreamTls tls;
  tls.join_loaded();  // there is no thread
  std::promise<void> done;
  bool told = false;
  tls.load([&] { done.set_value(); });
  tls.join_loaded();
  done.get_future().wait();
  tls.join_loaded();
  tls.join_loaded();
  tls.load([&] { told = true; });
  EXPECT_TRUE(told);
}

TEST_F(UpstreamTlsTest, ItsEndWaitsForTheLoad) {
  bool told = false;
  {
    UpstreamTls tls;
    tls.load([&] { told = true; });
  }
  EXPECT_TRUE(told);
  const UpstreamTls never_used;
  EXPECT_EQ(never_used.get(), nullptr);
}

}  // namespace
}  // namespace iron::proxy
