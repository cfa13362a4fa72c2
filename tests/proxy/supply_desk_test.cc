#include "proxy/exchange/supply_desk.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "proxy/exchange/site.h"
#include "tests/proxy/decider_rig.h"
#include "tests/proxy/session_rig.h"

namespace iron::proxy::test {
namespace {

/// A desk whose answers the test gives.
struct HeldDesk final : SupplyDesk {
  void ask(Pipeline,
           const transforms::Supply& supply,
           std::function<void(transforms::SuppliedPtr)> done,
           Left) override {
    asked.emplace_back(&supply, std::move(done));
  }
  std::vector<std::pair<const transforms::Supply*, std::function<void(transforms::SuppliedPtr)>>>
      asked;
};

transforms::SuppliedPtr of(std::string_view value) {
  auto supplied = std::make_shared<transforms::Supplied>();
  supplied->value = std::make_shared<const Secret>(Secret::copy_of(value));
  return supplied;
}

struct Leaves final : Abandonment {
  bool abandoned() override { return gone; }
  bool gone = false;
};

constexpr const char* kFromFile = R"(
tls: {ca_cert: c, ca_key: k}
dns: {proxy_ip: 127.0.0.1}
transforms:
  - name: secrets
    config: {secrets: [{source: {type: file, path: /nowhere/key}, inject: {header: X-Key},
                        rules: [{host: "*"}]}]}
)";

class SupplyDeskTest : public ::testing::Test {
 protected:
  SupplyDeskTest() : configured_(kFromFile) {
    rig_.services().supplies = &desk_;
    exchange_.authority.host = "up.test";
    exchange_.request.method = "GET";
  }
  transforms::Pipeline::Progress judge() {
    transforms::BodyNeed need;
    return snapshot().pipeline->run_request(exchange_, need);
  }
  const Snapshot& snapshot() { return configured_.snapshot(); }
  /// Begins to wait; the result is there once it is over.
  void wait(std::optional<bool>& came, Abandonment* who) {
    iron::start(wait_for(came, who), [](std::exception_ptr) { FAIL(); });
  }
  Task<void> wait_for(std::optional<bool>& came, Abandonment* who) {
    const bool there = co_await await_supply(rig_.site(), snapshot(), exchange_, pause_, who);
    came = there;
  }

  SessionRig rig_;
  Configured configured_;
  HeldDesk desk_;
  transforms::Exchange exchange_;
  Pause pause_{rig_.site().loop()};
};

TEST_F(SupplyDeskTest, TheRequestGoesOnWithWhatCame) {
  using Progress = transforms::Pipeline::Progress;
  begin_supplies(rig_.site(), snapshot(), exchange_);
  ASSERT_EQ(judge(), Progress::wait);
  EXPECT_EQ(exchange_.request_trace_count, 0U);
  std::optional<bool> came;
  wait(came, nullptr);
  rig_.settle();
  EXPECT_FALSE(came.has_value());
  ASSERT_EQ(desk_.asked.size(), 1U);
  EXPECT_EQ(desk_.asked[0].first->slot(), 0U);
  desk_.asked[0].second(of("the-value"));
  rig_.settle();
  EXPECT_EQ(came, true);
}

TEST_F(SupplyDeskTest, NobodyWaitsForWhomHasLeft) {
  begin_supplies(rig_.site(), snapshot(), exchange_);
  ASSERT_EQ(judge(), transforms::Pipeline::Progress::wait);
  Leaves client;
  std::optional<bool> came;
  wait(came, &client);
  client.gone = true;
  pause_.wake();
  rig_.settle();
  EXPECT_EQ(came, false);
  desk_.asked.at(0).second(of("too late"));
  rig_.settle();
  EXPECT_TRUE(exchange_.supplied.empty());

  // Who is gone already does not even ask.
  ASSERT_EQ(judge(), transforms::Pipeline::Progress::wait);
  came.reset();
  wait(came, &client);
  EXPECT_EQ(came, false);
  EXPECT_EQ(desk_.asked.size(), 1U);
}

TEST_F(SupplyDeskTest, ValuesOfAnotherPipelineAreNotUsed) {
  auto values = std::make_shared<transforms::Values>();
  const auto pipeline = snapshot().pipeline;
  rig_.site().set_values(pipeline, values);
  EXPECT_EQ(rig_.site().values(*pipeline), values);
  const auto running = rig_.site().snapshot()->pipeline;
  EXPECT_EQ(rig_.site().values(*running), nullptr);
  rig_.site().set_values(running, values);
  EXPECT_EQ(rig_.site().values(*running), values);
  // What comes late of the former one is passed over.
  rig_.site().set_values(pipeline, nullptr);
  EXPECT_EQ(rig_.site().values(*running), values);
}

}  // namespace
}  // namespace iron::proxy::test
