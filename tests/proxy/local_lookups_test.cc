#include "proxy/dns/local_lookups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/proxy/fake_name_server.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using policy::IpAddress;
using testing::ElementsAre;
using Asked = FakeNameServer::Asked;
using Packets = std::vector<std::string>;
using Status = LookupOutcome::Status;

class LocalLookupsTest : public testing::Test {
 protected:
  LocalLookupsTest() {
    std::string form = (std::filesystem::temp_directory_path() / "local_lookups_XXXXXX").string();
    directory_ = ::mkdtemp(form.data());
    write("resolv.conf", "nameserver 192.0.2.53\n");
    write("hosts", "10.0.0.9 file.test\n");
    write("nsswitch.conf", "hosts: files dns\n");
  }
  ~LocalLookupsTest() override { std::filesystem::remove_all(directory_); }

  void write(const char* name, const std::string& text) const {
    std::ofstream(directory_ / name) << text;
  }
  void serve(FakeNameServer::Answer answer) {
    server_.emplace(std::move(answer));
    Resolver::Options options;
    options.upstream_resolver = server_->address();
    options.resolv_conf = directory_ / "resolv.conf";
    options.hosts = directory_ / "hosts";
    options.nsswitch = directory_ / "nsswitch.conf";
    options.max_outstanding = kMaxOutstanding;
    resolver_.emplace(options);
    resolver_->start();
    lookups_.emplace(io_, *resolver_, [this](std::function<void()> action) {
      boost::asio::post(io_, std::move(action));
    });
  }
  /// Asks for all, then runs the loop until each has its outcome.
  std::vector<LookupOutcome> look_up(const std::vector<std::string>& names) {
    std::vector<LookupOutcome> outcomes(names.size());
    std::size_t left = names.size();
    for (std::size_t i = 0; i < names.size(); ++i) {
      lookups_->lookup(names[i], [&, i](LookupOutcome outcome) {
        EXPECT_EQ(std::this_thread::get_id(), here_);
        if (!outcome.complete) return;
        outcomes[i] = std::move(outcome);
        --left;
      });
    }
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (left > 0 && std::chrono::steady_clock::now() < limit) io_.run_one_for(1s);
    EXPECT_EQ(left, 0u);
    return outcomes;
  }

  static constexpr int kMaxOutstanding = 8;
  const std::thread::id here_ = std::this_thread::get_id();
  std::filesystem::path directory_;
  std::optional<FakeNameServer> server_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  std::optional<Resolver> resolver_;
  std::optional<dns::LocalLookups> lookups_;
};

Packets answer(const Asked& asked) {
  if (asked.name == "nx.test.") {
    return {FakeNameServer::reply(asked, {}, dns::Rcode::no_such_name)};
  }
  return {FakeNameServer::address_reply(asked, {"10.0.0.1"})};
}

// The first lookup is the resolver's; it brings what the later ones go by.
TEST_F(LocalLookupsTest, OutcomesAreThoseOfTheResolver) {
  serve(answer);
  for (int round = 0; round < 2; ++round) {
    const auto outcomes = look_up({"up.test", "nx.test", "file.test", "-.x"});
    EXPECT_THAT(outcomes[0].addresses, ElementsAre(IpAddress::v4({10, 0, 0, 1}))) << round;
    EXPECT_EQ(outcomes[1].status, Status::no_such_name);
    EXPECT_EQ(outcomes[1].error, "lookup nx.test on 192.0.2.53:53: no such host");
    EXPECT_THAT(outcomes[2].addresses, ElementsAre(IpAddress::v4({10, 0, 0, 9})));
    EXPECT_EQ(outcomes[3].error, "lookup -.x: no such host");
  }
}

TEST_F(LocalLookupsTest, DoesNotWaitForTheResolversThread) {
  serve(answer);
  look_up({"file.test"});
  std::promise<void> release;
  resolver_->resolve("file.test", Resolver::Names::searched,
                     [gate = release.get_future().share()](
                         const LookupOutcome&, const Resolver::Sources&) { gate.wait(); });
  EXPECT_EQ(look_up({"up.test"})[0].status, Status::found);
  release.set_value();
}

TEST_F(LocalLookupsTest, ThoseWhoWaitForTheSameNameShareALookup) {
  serve(answer);
  look_up({"file.test"});
  const auto outcomes = look_up(std::vector<std::string>(50, "up.test"));
  for (const LookupOutcome& outcome : outcomes) EXPECT_EQ(outcome.status, Status::found);
  EXPECT_EQ(server_->asked().size(), 2u);
}

TEST_F(LocalLookupsTest, ManyMayWaitForOneName) {
  serve(answer);
  look_up({"file.test"});
  const std::vector<std::string> names(3 * kMaxOutstanding, "up.test");
  for (const LookupOutcome& outcome : look_up(names)) EXPECT_EQ(outcome.error, "");
}

TEST_F(LocalLookupsTest, ChangedFilesCountOnceTheyAreNotFresh) {
  serve(answer);
  look_up({"file.test"});
  write("hosts", "10.0.0.10 file.test\n10.0.0.11 more.test\n");
  const auto changed = [this] {
    return look_up({"file.test"})[0].addresses.front() == IpAddress::v4({10, 0, 0, 10});
  };
  const auto limit = std::chrono::steady_clock::now() + dns::LookupSources::kFresh + 10s;
  while (!changed()) ASSERT_LT(std::chrono::steady_clock::now(), limit);
}

TEST_F(LocalLookupsTest, WhoComesWhileOneKindIsAwaitedGoesOnAtOnce) {
  serve([](const Asked& asked) -> Packets {
    if (asked.name == "half.test." && asked.query.type == dns::kTypeAaaa) return {};
    return answer(asked);
  });
  look_up({"file.test"});
  int told = 0;
  lookups_->lookup("half.test", [&](const LookupOutcome& outcome) {
    EXPECT_FALSE(outcome.complete);
    ++told;
  });
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (told == 0 && std::chrono::steady_clock::now() < limit) io_.run_one_for(1s);
  lookups_->lookup("half.test", [&](const LookupOutcome& outcome) {
    EXPECT_FALSE(outcome.complete);
    EXPECT_THAT(outcome.addresses, ElementsAre(IpAddress::v4({10, 0, 0, 1})));
    ++told;
  });
  EXPECT_EQ(told, 2);
  EXPECT_EQ(server_->asked().size(), 2u);
  lookups_.reset();
}

TEST_F(LocalLookupsTest, TheNumberOfLookupsIsBounded) {
  serve([](const Asked&) { return Packets{}; });
  look_up({"file.test"});
  for (int i = 0; i < kMaxOutstanding; ++i) {
    lookups_->lookup("up" + std::to_string(i) + ".test", [](const LookupOutcome&) {});
  }
  EXPECT_EQ(look_up({"up.test"})[0].error, "lookup up.test: too many lookups");
}

TEST_F(LocalLookupsTest, EndsWhileLookupsAreUnderWay) {
  serve([](const Asked&) { return Packets{}; });
  bool called = false;
  lookups_->lookup("one.test", [&](const LookupOutcome&) { called = true; });  // the resolver's
  look_up({"file.test"});
  lookups_->lookup("two.test", [&](const LookupOutcome&) { called = true; });  // its own
  lookups_.reset();
  resolver_.reset();
  io_.poll();
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace iron::proxy
