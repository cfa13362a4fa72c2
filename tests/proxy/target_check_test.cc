#include "proxy/net/target_check.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "tests/proxy/dialer_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using Asked = FakeNameServer::Asked;

class TargetCheckTest : public DialerTest {
 protected:
  TargetCheckTest() { deny_ = policy::DenyList({"10.0.0.0/8", "169.254.169.254/32", "fd00::/8"}); }

  void ask(const std::string& host, std::uint16_t port = 80) {
    admitted_.reset();
    target_.host = host;
    target_.literal = policy::IpAddress::parse(host);
    target_.port = port;
    spawn(run());
    settle();
  }
  Task<void> run() {
    const DialRequest request{deny_, target_, key_, client_, address_};
    admitted_ = co_await check_.admit(pause_, request, parent_);
  }
  /// `name only`, the address that was checked, or the error.
  std::string verdict() {
    if (!settle_until([this] { return admitted_.has_value(); })) return "not over";
    if (admitted_->has_error()) return admitted_->error().text;
    const ParentHop& hop = **admitted_;
    EXPECT_EQ(hop.url, &parent_);
    EXPECT_TRUE(hop.tunnel);
    std::string text = hop.checked ? hop.checked->text() : "";
    if (hop.name_only) text += text.empty() ? "name only" : ", name only";
    return text;
  }
  std::string verdict_of(const std::string& host, std::uint16_t port = 80) {
    ask(host, port);
    return verdict();
  }

  policy::ProxyUrl parent_ = policy::ProxyUrl::parse("http://p.test");
  TargetCheck check_{*lookups_, own_};
  std::optional<Result<ParentHop>> admitted_;
};

TEST_F(TargetCheckTest, ALiteralIsCheckedAsItIs) {
  set_addresses({"192.0.2.1"});
  EXPECT_EQ(verdict_of("192.0.2.1"), "");
  EXPECT_EQ(verdict_of("10.1.2.3", 81),
            "dial tcp 10.1.2.3:81: denied by upstream_deny_cidrs: 10.1.2.3 in 10.0.0.0/8");
  EXPECT_EQ(verdict_of("64:ff9b::a01:203"),
            "dial tcp [64:ff9b::a01:203]:80: denied by upstream_deny_cidrs: 10.1.2.3 in "
            "10.0.0.0/8");
  EXPECT_TRUE(names_->asked().empty());
}

TEST_F(TargetCheckTest, OfANameEveryAddressIs) {
  const std::string ten =
      "dial tcp 10.1.2.3:80: denied by upstream_deny_cidrs: 10.1.2.3 in "
      "10.0.0.0/8";
  const struct {
    std::vector<std::string> addresses;
    std::string verdict;
  } rows[] = {
      {{"192.0.2.1", "192.0.2.2"}, "192.0.2.1"},
      {{"10.1.2.3"}, ten},
      {{"192.0.2.1", "10.1.2.3"}, ten},
      {{"192.0.2.1", "fd00::1"},
       "dial tcp [fd00::1]:80: denied by upstream_deny_cidrs: fd00::1 in "
       "fd00::/8"},
      {{}, "name only"},
  };
  int number = 0;
  for (const auto& row : rows) {
    set_addresses(row.addresses);
    EXPECT_EQ(verdict_of("name" + std::to_string(number++) + ".test"), row.verdict);
  }
  EXPECT_EQ(verdict_of("nx.test"), "name only");
}

TEST_F(TargetCheckTest, TheProxyItselfIsNoTarget) {
  own_.add(*policy::IpAddress::parse("192.0.2.9"), 80);
  set_addresses({"192.0.2.9"});
  EXPECT_EQ(verdict_of("192.0.2.9"), "dial tcp 192.0.2.9:80: own listener");
  EXPECT_EQ(verdict_of("a.test"), "dial tcp 192.0.2.9:80: own listener");
  EXPECT_EQ(verdict_of("192.0.2.9", 81), "");
}

TEST_F(TargetCheckTest, NamesOfMetadataServicesAreTheirAddresses) {
  set_addresses({"192.0.2.1"});
  const std::string denied =
      "dial tcp 169.254.169.254:80: denied by upstream_deny_cidrs: 169.254.169.254 in "
      "169.254.169.254/32";
  for (const char* name : {"metadata", "metadata.google.internal", "instance-data",
                           "instance-data.ec2.internal", "metadata.azure.internal"}) {
    EXPECT_EQ(verdict_of(name), denied) << name;
  }
  EXPECT_TRUE(names_->asked().empty());
  deny_ = policy::DenyList({"169.254.170.2/32"});
  EXPECT_EQ(verdict_of("metadata"),
            "dial tcp 169.254.170.2:80: denied by upstream_deny_cidrs: 169.254.170.2 in "
            "169.254.170.2/32");
  deny_ = policy::DenyList();
  EXPECT_EQ(verdict_of("instance-data"), "192.0.2.1");
  EXPECT_EQ(verdict_of("xmetadata.google.internal"), "192.0.2.1");
}

TEST_F(TargetCheckTest, AFailureIsRememberedForHalfAMinute) {
  set_addresses({});
  EXPECT_EQ(verdict_of("a.test"), "name only");
  set_addresses({"10.1.2.3"});
  EXPECT_EQ(verdict_of("a.test"), "name only");
  EXPECT_NE(verdict_of("b.test"), "name only");
  advance(29s);
  EXPECT_EQ(verdict_of("a.test"), "name only");
  advance(2s);
  EXPECT_NE(verdict_of("a.test"), "name only");
  set_addresses({});
  EXPECT_EQ(verdict_of("c.test"), "name only");
  set_addresses({"10.1.2.3"});
  check_.forget();
  EXPECT_NE(verdict_of("c.test"), "name only");
}

TEST_F(TargetCheckTest, ManyFailuresAreForgottenInsteadOfKept) {
  set_addresses({});
  for (int i = 0; i < 1025; ++i) {
    ASSERT_EQ(verdict_of("n" + std::to_string(i) + ".test"), "name only");
  }
  set_addresses({"192.0.2.1"});
  EXPECT_EQ(verdict_of("n0.test"), "192.0.2.1");
  EXPECT_EQ(verdict_of("n1024.test"), "name only");
}

TEST_F(TargetCheckTest, NobodyWaitsLongerThanTwoSeconds) {
  set_answer([](const Asked&) { return std::vector<std::string>(); });
  ask("slow.test");
  pass(1900ms);
  EXPECT_FALSE(admitted_.has_value());
  pass(200ms);
  EXPECT_EQ(verdict(), "name only");
  EXPECT_EQ(verdict_of("slow.test"), "name only");
}

TEST_F(TargetCheckTest, OfSomeAddressesOneWillDoWhereTheParentGetsAnAddress) {
  const auto a_only = [](const Asked& asked) {
    std::vector<std::string> answers;
    if (asked.query.type == dns::kTypeA) {
      answers.push_back(FakeNameServer::address_reply(asked, {"192.0.2.1"}));
    }
    return answers;
  };
  set_answer(a_only);
  for (const auto& [url, wanted] :
       std::vector<std::pair<std::string, std::string>>{{"http://p", "192.0.2.1, name only"},
                                                        {"socks5h://p", "192.0.2.1, name only"},
                                                        {"socks5://p", "192.0.2.1"}}) {
    parent_ = policy::ProxyUrl::parse(url);
    ask("half.test");
    pass(100ms);  // from then on one family counts as slow
    EXPECT_FALSE(admitted_.has_value());
    pass(2s);
    EXPECT_EQ(verdict(), wanted) << url;
  }
}

TEST_F(TargetCheckTest, NothingIsCheckedForAParentThatCannotBeUsed) {
  parent_ = policy::ProxyUrl::parse("ftp://x");
  EXPECT_EQ(verdict_of("10.1.2.3"), "proxyconnect tcp: unsupported proxy URL");
}

TEST_F(TargetCheckTest, EndsWithItsClient) {
  set_answer([](const Asked&) { return std::vector<std::string>(); });
  ask("slow.test");
  client_.gone = true;
  pause_.wake();
  EXPECT_EQ(verdict(), "client gone");
  EXPECT_EQ(admitted_->error().fault, Fault::client_gone);
  ask("b.test");
  EXPECT_EQ(verdict(), "client gone");
}

}  // namespace
}  // namespace iron::proxy
