#include "proxy/dns/local_lookups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
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
#include "tests/proxy/manual_clock.h"

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
  ~LocalLookupsTest() override {
    // Lookups that are under way end with their loop, as those of a worker do.
    if (loop_) {
      loop_->cut_all();
      while (loop_->turn()) {
      }
    }
    std::filesystem::remove_all(directory_);
  }

  void write(const char* name, const std::string& text) const {
    std::ofstream(directory_ / name) << text;
  }
  void serve(FakeNameServer::Answer answer) {
    server_.emplace(std::move(answer));
    options_.upstream_resolver = server_->address();
    options_.resolv_conf = directory_ / "resolv.conf";
    options_.hosts = directory_ / "hosts";
    options_.nsswitch = directory_ / "nsswitch.conf";
    options_.max_outstanding = kMaxOutstanding;
    resolver_.emplace(options_);
    resolver_->start();
    loop_.emplace(*clock_);
    lookups_.emplace(*loop_, *resolver_);
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
    while (left > 0 && std::chrono::steady_clock::now() < limit) loop_->turn(1s);
    EXPECT_EQ(left, 0u);
    return outcomes;
  }

  LookupOutcome look_up_one(const std::string& name) { return look_up({name})[0]; }
  /// How often the name server was asked about the name.
  std::size_t asked(const std::string& name) const {
    const auto all = server_->asked();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const Asked& one) { return one.name == name; }));
  }

  static constexpr int kMaxOutstanding = 8;
  Resolver::Options options_;
  const std::thread::id here_ = std::this_thread::get_id();
  std::filesystem::path directory_;
  std::optional<FakeNameServer> server_;
  const Clock* clock_ = &Clock::system();
  std::optional<EventLoop> loop_;
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
                     [gate = release.get_future().share()](const LookupOutcome&) { gate.wait(); });
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

TEST_F(LocalLookupsTest, ChangedFilesAreSeen) {
  serve(answer);
  look_up({"file.test"});
  write("hosts", "10.0.0.10 file.test\n10.0.0.11 more.test\n");
  const auto changed = [this] {
    return look_up({"file.test"})[0].addresses.front() == IpAddress::v4({10, 0, 0, 10});
  };
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (!changed()) ASSERT_LT(std::chrono::steady_clock::now(), limit);
}

TEST_F(LocalLookupsTest, FilesThatAreLookedAtInTimeCostNoOtherThread) {
  options_.fresh = 1h;
  options_.look_each = 5ms;
  serve(answer);
  look_up_one("file.test");
  std::promise<void> release;
  resolver_->resolve("file.test", Resolver::Names::searched,
                     [gate = release.get_future().share()](const LookupOutcome&) { gate.wait(); });
  for (int i = 0; i < 50; ++i) look_up_one("up" + std::to_string(i) + ".test");
  release.set_value();
  // Nobody asks for it, and yet a change is seen.
  write("hosts", "10.0.0.10 file.test\n");
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (look_up_one("file.test").addresses.front() != IpAddress::v4({10, 0, 0, 10}))
    ASSERT_LT(std::chrono::steady_clock::now(), limit);
}

TEST_F(LocalLookupsTest, FilesThatNobodyLookedAtAreLookedAtFirst) {
  options_.fresh = 0ms;
  options_.look_each = 1h;
  serve(answer);
  EXPECT_EQ(look_up_one("file.test").addresses.front(), IpAddress::v4({10, 0, 0, 9}));
  write("hosts", "10.0.0.10 file.test\n# longer\n");
  EXPECT_EQ(look_up_one("file.test").addresses.front(), IpAddress::v4({10, 0, 0, 10}));
}

TEST_F(LocalLookupsTest, AnswersAreKeptForTheirTime) {
  ManualClock clock;
  clock_ = &clock;
  serve(answer);
  const struct {
    std::chrono::milliseconds passes;
    std::size_t asked;
  } cases[] = {{0ms, 2}, {29999ms, 2}, {1ms, 4}, {29999ms, 4}, {1h, 6}};  // records of a minute
  for (const auto& c : cases) {
    clock.advance(c.passes);
    EXPECT_EQ(look_up_one("up.test").status, Status::found);
    EXPECT_EQ(asked("up.test."), c.asked) << c.passes.count();
  }
  lookups_.reset();
  resolver_.reset();
  loop_.reset();
}

TEST_F(LocalLookupsTest, AnswersAreKeptForAllWaysToWriteTheName) {
  serve([](const Asked& asked) -> Packets {
    return {FakeNameServer::address_reply(asked, {"10.0.0.1", "10.0.0.2", "fd00::1"})};
  });
  const IpAddress one = IpAddress::v4({10, 0, 0, 1}), two = IpAddress::v4({10, 0, 0, 2}),
                  six = *IpAddress::parse("fd00::1");
  EXPECT_THAT(look_up_one("up.test").addresses, ElementsAre(one, two, six));
  EXPECT_THAT(look_up_one("UP.test").addresses, ElementsAre(two, one, six));
  EXPECT_THAT(look_up_one("up.TEST").addresses, ElementsAre(one, two, six));
  EXPECT_EQ(server_->asked().size(), 2u);
  // A name is kept under itself alone.
  look_up_one("other.test");
  EXPECT_EQ(asked("other.test."), 2u);
}

TEST_F(LocalLookupsTest, AnswersOfOtherNamesAreNotKept) {
  serve([](const Asked& asked) -> Packets {
    if (asked.name != "evil.test.") return answer(asked);
    // An alias, and what it leads to; and one more record that nobody asked for.
    Asked good = asked;
    good.query.name = *dns::wire_name("good.test");
    const auto record = [](const std::string& name, std::uint16_t type, const std::string& data) {
      std::string text = name;
      for (const std::size_t part :
           {std::size_t{type}, std::size_t{1}, std::size_t{0}, std::size_t{60}, data.size()}) {
        text += static_cast<char>(part >> 8);
        text += static_cast<char>(part & 0xff);
      }
      return text + data;
    };
    std::string packet = FakeNameServer::reply(asked, {});
    packet[7] = 2;
    packet += record(asked.query.name, dns::kTypeCname, good.query.name);
    packet += record(good.query.name, asked.query.type,
                     std::string(asked.query.type == dns::kTypeA ? 4 : 16, '\x06'));
    return {packet};
  });
  EXPECT_THAT(look_up_one("evil.test").addresses, testing::Contains(IpAddress::v4({6, 6, 6, 6})));
  EXPECT_THAT(look_up_one("evil.test").addresses, testing::Contains(IpAddress::v4({6, 6, 6, 6})));
  EXPECT_EQ(asked("evil.test."), 2u) << "it is kept under its own name";
  EXPECT_THAT(look_up_one("good.test").addresses, ElementsAre(IpAddress::v4({10, 0, 0, 1})));
  EXPECT_EQ(asked("good.test."), 2u);
}

TEST_F(LocalLookupsTest, WhatIsNoWholeAnswerIsNotKept) {
  options_.try_limit = 200ms;
  write("resolv.conf", "nameserver 192.0.2.53\noptions attempts:1\nsearch broken.test corp.test\n");
  serve([](const Asked& asked) -> Packets {
    const auto fail = [&](dns::Rcode code) {
      return Packets{FakeNameServer::reply(asked, {}, code)};
    };
    const bool v4 = asked.query.type == dns::kTypeA;
    if (asked.name == "empty.test.") return fail(dns::Rcode::no_error);
    if (asked.name == "servfail.test.") return fail(dns::Rcode::server_failure);
    if (asked.name == "half.test." && !v4) return fail(dns::Rcode::server_failure);
    if (asked.name == "other-half.test." && v4) return fail(dns::Rcode::server_failure);
    if (asked.name == "silent-half.test." && !v4) return {};
    if (asked.name == "host.broken.test.") return fail(dns::Rcode::server_failure);
    const bool known = asked.name.ends_with("half.test.") || asked.name == "whole.test." ||
                       asked.name == "host.corp.test." || asked.name == "kept.corp.test.";
    if (!known) return fail(dns::Rcode::no_such_name);
    return {FakeNameServer::address_reply(asked, {"10.0.0.1", "fd00::1"})};
  });
  const struct {
    const char *name, *asked;
    Status status;
    bool kept;
  } cases[] = {
      {"nx.test", "nx.test.", Status::no_such_name, false},
      {"empty.test.", "empty.test.", Status::no_addresses, false},
      {"servfail.test.", "servfail.test.", Status::failed, false},
      {"half.test", "half.test.", Status::found, false},
      {"other-half.test", "other-half.test.", Status::found, false},
      {"silent-half.test", "silent-half.test.", Status::found, false},
      // Found by the search list, where nobody knows of a name in front of it, and where one does.
      {"host", "host.corp.test.", Status::found, false},
      {"kept", "kept.corp.test.", Status::found, true},
      {"whole.test", "whole.test.", Status::found, true},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(look_up_one(c.name).status, c.status) << c.name;
    const std::size_t before = asked(c.asked);
    EXPECT_GE(before, 2u) << c.name;
    EXPECT_EQ(look_up_one(c.name).status, c.status) << c.name;
    EXPECT_EQ(asked(c.asked) == before, c.kept) << c.name;
  }
}

TEST_F(LocalLookupsTest, TheHostsFileCountsBeforeWhatIsKept) {
  options_.fresh = 0ms;
  options_.look_each = 1h;
  serve(answer);
  look_up_one("up.test");
  write("hosts", "10.0.0.10 up.test\n");
  EXPECT_THAT(look_up_one("up.test").addresses, ElementsAre(IpAddress::v4({10, 0, 0, 10})));
  write("hosts", "# nothing any more\n");
  EXPECT_THAT(look_up_one("up.test").addresses, ElementsAre(IpAddress::v4({10, 0, 0, 1})));
  EXPECT_EQ(asked("up.test."), 4u) << "what the file says is not kept, and its change empties";
}

TEST_F(LocalLookupsTest, ForgottenAnswersAreAskedForAgain) {
  serve(answer);
  look_up_one("up.test");
  lookups_->forget_answers();
  look_up_one("up.test");
  EXPECT_EQ(asked("up.test."), 4u);
  look_up_one("up.test");
  EXPECT_EQ(asked("up.test."), 4u);
}

TEST_F(LocalLookupsTest, AnswersToQuestionsOfBeforeAreNotKept) {
  serve(answer);
  look_up_one("file.test");
  bool told = false;
  lookups_->lookup("up.test", [&](const LookupOutcome&) { told = true; });
  lookups_->forget_answers();
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (!told && std::chrono::steady_clock::now() < limit) loop_->turn(1s);
  ASSERT_TRUE(told);
  look_up_one("up.test");
  EXPECT_EQ(asked("up.test."), 4u);
}

TEST_F(LocalLookupsTest, ChangesOfEachFileEmptyWhatIsKept) {
  options_.fresh = 0ms;
  options_.look_each = 1h;
  serve(answer);
  std::size_t questions = 0;
  for (const auto& [file, text] : {std::pair{"hosts", "10.0.0.7 file.test more.test\n"},
                                   std::pair{"resolv.conf", "nameserver 192.0.2.54\n# other\n"},
                                   std::pair{"nsswitch.conf", "hosts: files dns\n# other\n"}}) {
    look_up_one("up.test");
    questions += 2;
    EXPECT_EQ(asked("up.test."), questions) << file;
    look_up_one("up.test");
    EXPECT_EQ(asked("up.test."), questions) << file;
    write(file, text);
  }
  look_up_one("up.test");
  EXPECT_EQ(asked("up.test."), questions + 2);
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
  while (told == 0 && std::chrono::steady_clock::now() < limit) loop_->turn(1s);
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
  loop_->turn();
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace iron::proxy
