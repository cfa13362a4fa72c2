#include "proxy/dns/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <set>

#include "proxy/dns/system_lookup.h"
#include "tests/proxy/fake_name_server.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using policy::IpAddress;
using testing::ElementsAre;
using testing::MatchesRegex;
using Asked = FakeNameServer::Asked;
using Packets = std::vector<std::string>;
using Status = LookupOutcome::Status;

class ResolverTest : public testing::Test {
 protected:
  ResolverTest() {
    std::string form = (std::filesystem::temp_directory_path() / "resolver_test_XXXXXX").string();
    directory_ = ::mkdtemp(form.data());
    write("resolv.conf", "nameserver 192.0.2.53\n");
    write("hosts", "127.0.0.1 localhost\nfd00::9 both.test\n10.0.0.9 both.test\n");
    write("nsswitch.conf", "hosts: files dns\n");
  }
  ~ResolverTest() override { std::filesystem::remove_all(directory_); }

  void write(const char* name, const std::string& text) const {
    std::ofstream(directory_ / name) << text;
  }
  void serve(FakeNameServer::Answer answer) {
    server_.emplace(std::move(answer));
    options_.upstream_resolver = server_->address();
  }
  void make() {
    options_.resolv_conf = directory_ / "resolv.conf";
    options_.hosts = directory_ / "hosts";
    options_.nsswitch = directory_ / "nsswitch.conf";
    resolver_.emplace(options_);
    resolver_->start();
  }
  LookupOutcome resolve(const std::string& name,
                        Resolver::Names names = Resolver::Names::searched) {
    return begin(name, names).whole();
  }

  struct Promises {
    std::promise<LookupOutcome> incomplete, complete;
  };
  /// A lookup under way, and what it has told.
  struct Lookup {
    std::string name;
    std::shared_ptr<Promises> told;  // what is not told must not look like an error
    std::future<LookupOutcome> incomplete, complete;
    static LookupOutcome take(std::future<LookupOutcome>& outcome, const std::string& name) {
      if (outcome.wait_for(20s) == std::future_status::ready) return outcome.get();
      ADD_FAILURE() << "no answer for " << name;
      return {};
    }
    LookupOutcome first() { return take(incomplete, name); }
    LookupOutcome whole() { return take(complete, name); }
    bool told_once() {
      return complete.wait_for(20s) == std::future_status::ready &&
             incomplete.wait_for(0s) != std::future_status::ready;
    }
  };
  Lookup begin(const std::string& name, Resolver::Names names = Resolver::Names::searched) {
    if (!resolver_) make();
    auto told = std::make_shared<Promises>();
    Lookup lookup{name, told, told->incomplete.get_future(), told->complete.get_future()};
    resolver_->resolve(name, names, [told](LookupOutcome result) {
      (result.complete ? told->complete : told->incomplete).set_value(std::move(result));
    });
    return lookup;
  }

  std::filesystem::path directory_;
  std::optional<FakeNameServer> server_;
  Resolver::Options options_;
  std::optional<Resolver> resolver_;
};

Packets addresses(const Asked& asked, const std::vector<std::string>& texts) {
  return {FakeNameServer::address_reply(asked, texts)};
}

TEST_F(ResolverTest, AsksForBothKindsAndPutsIpv4First) {
  serve([](const Asked& asked) { return addresses(asked, {"fd00::1", "10.0.0.1", "10.0.0.2"}); });
  const LookupOutcome outcome = resolve("up.test");
  EXPECT_EQ(outcome.status, Status::found);
  EXPECT_THAT(outcome.addresses,
              ElementsAre(IpAddress::v4({10, 0, 0, 1}), IpAddress::v4({10, 0, 0, 2}),
                          *IpAddress::parse("fd00::1")));
  const auto asked = server_->asked();
  ASSERT_EQ(asked.size(), 2u);
  std::set<std::uint16_t> types;
  for (const Asked& one : asked) {
    types.insert(one.query.type);
    EXPECT_EQ(one.query.flags, 0x0100);
    EXPECT_EQ(one.query.udp_limit, 1232u);
    EXPECT_EQ(one.name, "up.test.");
  }
  EXPECT_EQ(types, (std::set<std::uint16_t>{dns::kTypeA, dns::kTypeAaaa}));
  EXPECT_NE(asked[0].query.id, asked[1].query.id);
}

TEST_F(ResolverTest, EachTryHasItsOwnPortAndIds) {
  serve([](const Asked& asked) { return addresses(asked, {"10.0.0.1"}); });
  std::set<std::uint16_t> ports, ids;
  constexpr int kLookups = 40;
  for (int i = 0; i < kLookups; ++i) resolve("n" + std::to_string(i) + ".test");
  for (const Asked& one : server_->asked()) {
    ports.insert(one.client_port);
    ids.insert(one.query.id);
  }
  // Chance may repeat a few.
  EXPECT_GT(ports.size(), kLookups / 2u);
  EXPECT_GT(ids.size(), kLookups);
}

TEST_F(ResolverTest, KindsOfFailure) {
  serve([](const Asked& asked) -> Packets {
    if (asked.name == "empty.test.") return {FakeNameServer::reply(asked, {})};
    if (asked.name == "nx.test.") {
      return {FakeNameServer::reply(asked, {}, dns::Rcode::no_such_name)};
    }
    if (asked.name == "fail.test.") {
      return {FakeNameServer::reply(asked, {}, dns::Rcode::server_failure)};
    }
    std::string lame = FakeNameServer::reply(asked, {});
    lame[2] = static_cast<char>(0x81);  // neither authoritative nor recursive
    return {lame};
  });
  const struct {
    const char* name;
    Status status;
    const char* error;
  } cases[] = {
      {"empty.test", Status::no_addresses, "lookup empty.test on 192.0.2.53:53: no such host"},
      {"nx.test", Status::no_such_name, "lookup nx.test on 192.0.2.53:53: no such host"},
      {"fail.test", Status::failed, "lookup fail.test on 192.0.2.53:53: server misbehaving"},
      {"lame.test", Status::failed, "lookup lame.test on 192.0.2.53:53: lame referral"},
      {"-.x", Status::no_such_name, "lookup -.x: no such host"},
      {"127.1", Status::no_such_name, "lookup 127.1: no such host"},
      {"a b", Status::no_such_name, "lookup a b: no such host"},
  };
  for (const auto& c : cases) {
    const LookupOutcome outcome = resolve(c.name);
    EXPECT_EQ(outcome.status, c.status) << c.name;
    EXPECT_EQ(outcome.error, c.error);
  }
  std::size_t failing = 0;
  for (const Asked& one : server_->asked()) failing += one.name == "fail.test." ? 1 : 0;
  EXPECT_EQ(failing, 4u);
}

TEST_F(ResolverTest, ASilentServerIsAskedTwiceThenGivenUp) {
  options_.try_limit = 50ms;
  options_.total_limit = 10s;
  serve([](const Asked&) { return Packets{}; });
  const LookupOutcome outcome = resolve("dead.test");
  EXPECT_EQ(outcome.status, Status::failed);
  EXPECT_THAT(outcome.error,
              MatchesRegex("lookup dead\\.test on 192\\.0\\.2\\.53:53: read udp "
                           "127\\.0\\.0\\.1:[0-9]+->127\\.0\\.0\\.1:[0-9]+: i/o timeout"));
  EXPECT_EQ(server_->asked().size(), 4u);
}

TEST_F(ResolverTest, AllTriesTogetherHaveALimit) {
  write("resolv.conf", "nameserver 192.0.2.53\noptions attempts:100\nsearch a.test b.test\n");
  options_.try_limit = 20ms;
  options_.total_limit = 100ms;
  serve([](const Asked&) { return Packets{}; });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(resolve("dead.test").status, Status::failed);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

TEST_F(ResolverTest, ALostPacketIsAskedAgainForItsKindOnly) {
  options_.try_limit = 500ms;  // on a busy machine an answer that is not lost takes a while, too
  serve([](const Asked& asked) -> Packets {
    if (asked.query.type == dns::kTypeAaaa && asked.number == 0) return {};
    return addresses(asked, {"10.0.0.1", "fd00::1"});
  });
  EXPECT_EQ(resolve("up.test").addresses.size(), 2u);
  EXPECT_EQ(server_->asked().size(), 3u);
}

TEST_F(ResolverTest, OneKindIsEnough) {
  options_.try_limit = 30ms;
  serve([](const Asked& asked) -> Packets {
    if (asked.query.type == dns::kTypeAaaa) return {};
    return addresses(asked, {"10.0.0.1"});
  });
  EXPECT_THAT(resolve("up.test").addresses, ElementsAre(IpAddress::v4({10, 0, 0, 1})));
}

TEST_F(ResolverTest, OneKindIsToldWhileTheOtherIsAwaited) {
  const struct {
    std::uint16_t silent;
    const char *first, *second;
  } cases[] = {{dns::kTypeAaaa, "10.0.0.1", "fd00::1"}, {dns::kTypeA, "fd00::1", "10.0.0.1"}};
  for (const auto& c : cases) {
    std::atomic<bool> speaks{false};
    options_.try_limit = 200ms;
    serve([&](const Asked& asked) -> Packets {
      if (asked.query.type == c.silent && !speaks) return {};
      return addresses(asked, {"10.0.0.1", "fd00::1"});
    });
    make();
    Lookup lookup = begin("up.test");
    EXPECT_THAT(lookup.first().addresses, ElementsAre(*IpAddress::parse(c.first)));
    // Who comes now does not wait either, nor asks again.
    const auto asked = server_->asked().size();
    EXPECT_THAT(begin("up.test").first().addresses, ElementsAre(*IpAddress::parse(c.first)));
    EXPECT_EQ(server_->asked().size(), asked);
    speaks = true;
    EXPECT_THAT(lookup.whole().addresses,
                ElementsAre(IpAddress::v4({10, 0, 0, 1}), *IpAddress::parse("fd00::1")));
    resolver_.reset();
  }
}

TEST_F(ResolverTest, NoIsAnAnswerOfItsKind) {
  serve([](const Asked& asked) -> Packets {
    if (asked.query.type == dns::kTypeA) return addresses(asked, {"10.0.0.1"});
    if (asked.name == "nx.test.") {
      return {FakeNameServer::reply(asked, {}, dns::Rcode::no_such_name)};
    }
    return {FakeNameServer::reply(asked, {})};
  });
  for (const char* name : {"nx.test", "empty.test"}) EXPECT_TRUE(begin(name).told_once()) << name;
}

TEST_F(ResolverTest, NothingIsToldWhileNoAddressIsKnown) {
  options_.try_limit = 100ms;
  options_.total_limit = 1s;
  serve([](const Asked& asked) -> Packets {
    if (asked.query.type == dns::kTypeAaaa) return {};
    return {FakeNameServer::reply(asked, {})};
  });
  Lookup lookup = begin("up.test");
  EXPECT_TRUE(lookup.told_once());
  EXPECT_EQ(lookup.whole().status, Status::failed);
}

TEST_F(ResolverTest, PassesOverForgedAndBrokenPackets) {
  serve([](const Asked& asked) -> Packets {
    const std::string good = FakeNameServer::address_reply(asked, {"10.0.0.1", "fd00::1"});
    Asked other = asked;
    other.query.name = *dns::wire_name("other.test");
    std::string wrong_id = FakeNameServer::address_reply(asked, {"10.6.6.6", "fd06::6"});
    wrong_id[0] = static_cast<char>(wrong_id[0] ^ 0x55);
    return {"", "x", wrong_id, FakeNameServer::address_reply(other, {"10.6.6.6"}), good};
  });
  EXPECT_THAT(resolve("up.test").addresses,
              ElementsAre(IpAddress::v4({10, 0, 0, 1}), *IpAddress::parse("fd00::1")));
}

TEST_F(ResolverTest, FindsTheAnswerBehindAFloodOfForgedOnes) {
  serve([](const Asked& asked) -> Packets {
    std::string wrong_id = FakeNameServer::address_reply(asked, {"10.6.6.6"});
    wrong_id[0] = static_cast<char>(wrong_id[0] ^ 0x55);
    Packets packets(70, wrong_id);  // more than are read in one go, less than the socket holds
    packets.push_back(FakeNameServer::address_reply(asked, {"10.0.0.1"}));
    return packets;
  });
  EXPECT_THAT(resolve("up.test").addresses, ElementsAre(IpAddress::v4({10, 0, 0, 1})));
  EXPECT_EQ(server_->asked().size(), 2u);
}

TEST_F(ResolverTest, AMalformedAnswerIsAFailedTry) {
  serve([](const Asked& asked) -> Packets {
    std::string packet = FakeNameServer::address_reply(asked, {"10.0.0.1", "fd00::1"});
    if (asked.number == 0) packet.resize(packet.size() - 1);
    return {packet};
  });
  EXPECT_EQ(resolve("up.test").addresses.size(), 2u);
}

TEST_F(ResolverTest, ACutAnswerIsAskedAgainOverTcp) {
  std::vector<std::string> many;
  for (int i = 0; i < 100; ++i) many.push_back("10.0.1." + std::to_string(i));
  serve([&many](const Asked& asked) -> Packets {
    if (asked.query.type == dns::kTypeAaaa) return {FakeNameServer::reply(asked, {})};
    if (asked.over == FakeNameServer::Over::tcp) return addresses(asked, many);
    return {dns::render_answer(asked.query, dns::Rcode::no_error, {}, 0)};
  });
  const LookupOutcome outcome = resolve("many.test");
  ASSERT_EQ(outcome.addresses.size(), 100u);
  EXPECT_EQ(outcome.addresses[99].text(), "10.0.1.99");
}

TEST_F(ResolverTest, TcpThatAnswersNothingIsAFailedTry) {
  serve([](const Asked& asked) -> Packets {
    if (asked.over == FakeNameServer::Over::tcp) return {};
    return {dns::render_answer(asked.query, dns::Rcode::no_error, {}, 0)};
  });
  EXPECT_THAT(resolve("many.test").error,
              MatchesRegex("lookup many.test on 192.0.2.53:53: read tcp 127.0.0.1:[0-9]+: EOF"));
}

TEST_F(ResolverTest, ARefusedPortFailsAtOnce) {
  Descriptor socket = bound_socket(SOCK_DGRAM);
  options_.upstream_resolver = "127.0.0.1:" + std::to_string(port_of(socket));
  socket = Descriptor();
  EXPECT_THAT(resolve("up.test").error,
              MatchesRegex("lookup up.test on 192.0.2.53:53: read udp .*->.*: read: connection "
                           "refused"));
}

TEST_F(ResolverTest, TheHostsFileComesFirst) {
  serve([](const Asked& asked) { return addresses(asked, {"10.0.0.1"}); });
  EXPECT_THAT(resolve("LOCALHOST").addresses, ElementsAre(IpAddress::v4({127, 0, 0, 1})));
  EXPECT_THAT(resolve("both.test").addresses,
              ElementsAre(IpAddress::v4({10, 0, 0, 9}), *IpAddress::parse("fd00::9")));
  EXPECT_TRUE(server_->asked().empty());
}

TEST_F(ResolverTest, FollowsTheSearchListUnlessAbsolute) {
  write("resolv.conf", "nameserver 192.0.2.53\nsearch corp.test\n");
  serve([](const Asked& asked) -> Packets {
    if (asked.name == "host.corp.test.") return addresses(asked, {"10.0.0.1"});
    return {FakeNameServer::reply(asked, {}, dns::Rcode::no_such_name)};
  });
  EXPECT_EQ(resolve("host").status, Status::found);
  EXPECT_EQ(resolve("host", Resolver::Names::absolute).status, Status::no_such_name);
  EXPECT_EQ(resolve("host", Resolver::Names::absolute).error,
            "lookup host on 192.0.2.53:53: no such host");
}

TEST_F(ResolverTest, WithoutAnUpstreamTheServersOfResolvConfAreAsked) {
  write("resolv.conf", "nameserver 127.0.0.1\noptions attempts:1\n");
  options_.try_limit = options_.total_limit = 50ms;
  EXPECT_THAT(resolve("up.test").error, testing::StartsWith("lookup up.test on 127.0.0.1:53: "));
}

TEST_F(ResolverTest, AnAddressThatIsNoneFailsEachLookup) {
  const struct {
    const char *upstream, *error;
  } cases[] = {
      {"127.0.0.1", "dial udp: address 127.0.0.1: missing port in address"},
      {"127.0.0.1:99999", "dial udp: address 99999: invalid port"},
  };
  for (const auto& c : cases) {
    options_.upstream_resolver = c.upstream;
    make();
    EXPECT_EQ(resolve("up.test").error, "lookup up.test on 192.0.2.53:53: " + std::string(c.error));
  }
}

TEST_F(ResolverTest, ThoseWhoWaitForTheSameNameShareALookup) {
  std::promise<void> release;
  serve([gate = release.get_future().share()](const Asked& asked) {
    gate.wait();
    return addresses(asked, {"10.0.0.1"});
  });
  make();
  constexpr int kCallers = 50;
  std::atomic<int> answered{0};
  std::promise<void> all;
  for (int i = 0; i < kCallers; ++i) {
    resolver_->resolve("up.test", Resolver::Names::searched, [&](const LookupOutcome& outcome) {
      if (outcome.status == Status::found && ++answered == kCallers) all.set_value();
    });
  }
  // Behind all of them in the resolver's queue.
  EXPECT_EQ(resolve("-").status, Status::no_such_name);
  release.set_value();
  ASSERT_EQ(all.get_future().wait_for(20s), std::future_status::ready);
  EXPECT_EQ(server_->asked().size(), 2u);
}

TEST_F(ResolverTest, TheNumberOfLookupsIsBounded) {
  serve([](const Asked&) { return Packets{}; });
  options_.max_outstanding = 8;
  make();
  for (int i = 0; i < options_.max_outstanding; ++i) {
    resolver_->resolve("up" + std::to_string(i) + ".test", Resolver::Names::searched,
                       [](const LookupOutcome&) {});
  }
  EXPECT_EQ(resolve("up.test").error, "lookup up.test: too many lookups");
}

TEST_F(ResolverTest, EndsWhileLookupsAreUnderWay) {
  serve([](const Asked&) { return Packets{}; });
  make();
  bool called = false;
  resolver_->resolve("up.test", Resolver::Names::searched,
                     [&called](const LookupOutcome&) { called = true; });
  resolve("-");  // the other is under way when this one, behind it in the queue, is answered
  resolver_.reset();
  EXPECT_FALSE(called);
}

TEST_F(ResolverTest, OtherSourcesAreTheLibrarysBusiness) {
  write("nsswitch.conf", "hosts: files myhostname dns\n");
  write("hosts", "");
  const LookupOutcome outcome = resolve("localhost");
  EXPECT_EQ(outcome.status, Status::found);
  EXPECT_THAT(outcome.addresses, testing::Contains(IpAddress::v4({127, 0, 0, 1})));
}

TEST(SystemLookup, NumbersAreNotNames) {
  for (const char* name : {"0x7f.1", "127.1", "2130706433", "0177.0.0.1"}) {
    const LookupOutcome outcome = dns::system_lookup(name, name);
    EXPECT_EQ(outcome.status, Status::no_such_name) << name;
    EXPECT_EQ(outcome.error, "lookup " + std::string(name) + ": no such host");
  }
}

TEST(SystemLookup, ManyAtOnce) {
  dns::SystemLookups lookups;
  constexpr int kLookups = 100;
  std::atomic<int> found{0};
  std::promise<void> all;
  for (int i = 0; i < kLookups; ++i) {
    ASSERT_TRUE(lookups.start("localhost", "localhost", [&](const LookupOutcome& outcome) {
      if (outcome.status == Status::found && ++found == kLookups) all.set_value();
    }));
  }
  EXPECT_EQ(all.get_future().wait_for(20s), std::future_status::ready);
}

}  // namespace
}  // namespace iron::proxy
