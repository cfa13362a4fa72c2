#include "proxy/net/parent_proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "policy/match/host.h"

namespace iron::proxy {
namespace {

using policy::ProxyUrl;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kVariables[] = {"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy",
                                      "NO_PROXY",   "no_proxy",   "ALL_PROXY"};

class ParentProxyTest : public ::testing::Test {
 protected:
  using Variables = std::vector<std::pair<std::string, std::string>>;
  ParentProxyTest() { clear(); }
  ~ParentProxyTest() override { clear(); }
  static void clear() {
    for (const char* name : kVariables) ::unsetenv(name);
  }
  void set(const Variables& variables) {
    clear();
    for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  }
  static UpstreamTarget target(const std::string& url) {
    UpstreamTarget made;
    made.tls = url.starts_with("https://");
    const auto authority = policy::Authority::parse(url.substr(url.find("//") + 2)).value();
    made.host = authority.host;
    made.literal = authority.literal;
    made.port = authority.port.value_or(made.tls ? 443 : 80);
    return made;
  }
  static std::string of(const ParentProxy& parents, const std::string& url) {
    const ProxyUrl* parent = parents.of(target(url));
    if (parent == nullptr) return "direct";
    return parent->usable() ? parent->text() : "unusable";
  }

  policy::Config::Proxy::UpstreamProxy block_;
};

TEST_F(ParentProxyTest, TheEnvironmentCountsWithTheBlock) {
  struct Case {
    bool present;
    const char* key;
    Variables variables;
    const char* http;
    const char* https;
  };
  const Case cases[] = {
      {false, "http://key", {{"HTTP_PROXY", "http://upper"}}, "direct", "direct"},
      {true, "", {}, "direct", "direct"},
      {true, "http://key", {}, "http://key:80", "direct"},
      {true, "", {{"HTTP_PROXY", "http://upper"}}, "http://upper:80", "direct"},
      {true, "http://key", {{"HTTP_PROXY", "http://upper"}}, "http://upper:80", "direct"},
      {true, "http://key", {{"http_proxy", "http://lower"}}, "http://lower:80", "direct"},
      {true,
       "",
       {{"http_proxy", "http://lower"}, {"HTTP_PROXY", "http://upper"}},
       "http://upper:80",
       "direct"},
      {true, "http://key", {{"HTTP_PROXY", ""}}, "http://key:80", "direct"},
      {true, "http://key", {{"HTTPS_PROXY", "https://s"}}, "http://key:80", "https://s:443"},
      {true, "", {{"https_proxy", "socks5://s"}}, "direct", "socks5://s:1080"},
      {true, "", {{"ALL_PROXY", "http://all"}}, "direct", "direct"},
      {true, "http://key", {{"NO_PROXY", "a.test"}}, "direct", "direct"},
      {true, "http://key", {{"no_proxy", "a.test"}}, "direct", "direct"},
      {true, "http://key", {{"HTTP_PROXY", "ftp://x"}}, "unusable", "direct"},
  };
  for (const Case& one : cases) {
    set(one.variables);
    const SecretEnvironment environment;
    block_.present = one.present;
    block_.http_proxy = ProxyUrl::parse(one.key);
    const ParentProxy parents = ParentProxy::of_config(block_, environment);
    EXPECT_EQ(of(parents, "http://a.test"), one.http);
    EXPECT_EQ(of(parents, "https://a.test"), one.https);
  }
}

TEST_F(ParentProxyTest, AVariableOfHostsWinsOverTheKeyWhole) {
  set({{"NO_PROXY", "b.test"}});
  const SecretEnvironment environment;
  block_ = {true, ProxyUrl::parse("http://p"), {}, "a.test"};
  const ParentProxy parents = ParentProxy::of_config(block_, environment);
  EXPECT_EQ(of(parents, "http://a.test"), "http://p:80");
  EXPECT_EQ(of(parents, "http://b.test"), "direct");
}

TEST_F(ParentProxyTest, AUrlLeavesTheEnvironmentAndIsFoundAgain) {
  set({{"HTTP_PROXY", "http://u:hunter2@p"}, {"NO_PROXY", "b.test"}});
  const SecretEnvironment environment;
  block_.present = true;
  for (int i = 0; i < 2; ++i) {
    const ParentProxy parents = ParentProxy::of_config(block_, environment);
    EXPECT_EQ(parents.of(target("http://a.test"))->login()->password(), "hunter2");
    EXPECT_EQ(std::string(::getenv("HTTP_PROXY")).find("hunter2"), std::string::npos);
    EXPECT_EQ(of(parents, "http://b.test"), "direct");
  }
}

TEST_F(ParentProxyTest, EmptyIsWhereNobodyHasAParent) {
  const SecretEnvironment environment;
  block_.present = true;
  EXPECT_TRUE(ParentProxy().empty());
  EXPECT_TRUE(ParentProxy::of_config(block_, environment).empty());
  block_.https_proxy = ProxyUrl::parse("://");
  EXPECT_FALSE(ParentProxy::of_config(block_, environment).empty());
}

TEST_F(ParentProxyTest, WhatIsRelayedUnseenCountsAsHttps) {
  const SecretEnvironment environment;
  block_ = {true, ProxyUrl::parse("http://p"), ProxyUrl::parse("http://s"), "*.direct.test"};
  const ParentProxy parents = ParentProxy::of_config(block_, environment);
  EXPECT_EQ(parents.of(target("http://a.test"), true)->text(), "http://s:80");
  EXPECT_EQ(parents.of(target("http://a.direct.test"), true), nullptr);
}

TEST_F(ParentProxyTest, CallsOfOurOwnFindInstanceMetadataDirectly) {
  set({{"HTTP_PROXY", "http://p"}, {"https_proxy", "http://s"}, {"NO_PROXY", "b.test"}});
  const SecretEnvironment environment;
  const ParentProxy parents = ParentProxy::of_environment(environment);
  EXPECT_EQ(of(parents, "http://a.test"), "http://p:80");
  EXPECT_EQ(of(parents, "https://a.test"), "http://s:80");
  for (const char* url :
       {"http://b.test", "http://169.254.169.254", "https://169.254.170.2", "http://[fe80::1]"}) {
    EXPECT_EQ(of(parents, url), "direct") << url;
  }
  EXPECT_EQ(of(parents, "http://[fec0::1]"), "http://p:80");
  block_ = {true, {}, {}, ""};
  EXPECT_EQ(of(ParentProxy::of_config(block_, environment), "http://169.254.169.254"),
            "http://p:80");
}

TEST_F(ParentProxyTest, NamesWhatCannotBeUsed) {
  set({{"https_proxy", "ftp://x"}});
  const SecretEnvironment environment;
  block_ = {true, ProxyUrl::parse("://"), ProxyUrl::parse("http://s"), ""};
  EXPECT_THAT(ParentProxy::of_config(block_, environment).unusable(),
              ElementsAre("proxy.upstream_proxy.http_proxy", "https_proxy"));
  EXPECT_THAT(ParentProxy().unusable(), IsEmpty());
}

TEST_F(ParentProxyTest, NamesTheVariablesThatAreSet) {
  set({{"no_proxy", "a"}, {"HTTP_PROXY", "x"}, {"https_proxy", ""}, {"ALL_PROXY", "x"}});
  EXPECT_THAT(proxy_environment(), ElementsAre("HTTP_PROXY", "no_proxy"));
}

}  // namespace
}  // namespace iron::proxy
