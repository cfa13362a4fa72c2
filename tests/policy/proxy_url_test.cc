#include "policy/match/proxy_url.h"

#include <gtest/gtest.h>

#include <string>

namespace iron::policy {
namespace {

TEST(ProxyUrl, IsReadAsWritten) {
  struct Case {
    const char* text;
    const char* shown;
    const char* user;  ///< null: no login
    const char* password;
  };
  constexpr Case cases[] = {
      {"http://p.test:3128", "http://p.test:3128", nullptr, nullptr},
      {"http://p.test", "http://p.test:80", nullptr, nullptr},
      {"https://p.test/", "https://p.test:443", nullptr, nullptr},
      {"socks5://10.0.0.1", "socks5://10.0.0.1:1080", nullptr, nullptr},
      {"socks5h://[2001:db8::1]:9", "socks5h://[2001:db8::1]:9", nullptr, nullptr},
      {"p.test:3128", "http://p.test:3128", nullptr, nullptr},
      {"p.test", "http://p.test:80", nullptr, nullptr},
      {"HTTP://P.Test.:3128/x@y?a#b", "http://p.test:3128", nullptr, nullptr},
      {"http://u:p@p.test", "http://p.test:80", "u", "p"},
      {"u:p@p.test:1", "http://p.test:1", "u", "p"},
      {"http://u@p.test", "http://p.test:80", "u", ""},
      {"http://@p.test", "http://p.test:80", "", ""},
      {"http://:p@p.test", "http://p.test:80", "", "p"},
      {"http://u:p@q@p.test", "http://p.test:80", "u", "p@q"},
      {"http://u%3a%40:p%2F%25%00@p.test", "http://p.test:80", "u:@", "p/%"},
      {"socks5://u:p:q@p.test", "socks5://p.test:1080", "u", "p:q"},
  };
  for (const Case& one : cases) {
    const ProxyUrl url = ProxyUrl::parse(one.text);
    ASSERT_TRUE(url.usable()) << one.text;
    EXPECT_EQ(url.text(), one.shown) << one.text;
    EXPECT_EQ(url.address(), url.text().substr(url.text().find("//") + 2)) << one.text;
    ASSERT_EQ(url.login() != nullptr, one.user != nullptr) << one.text;
    if (one.user == nullptr) continue;
    EXPECT_EQ(url.login()->user(), one.user) << one.text;
    EXPECT_EQ(url.login()->password().substr(0, 3).substr(0, std::string(one.password).size()),
              one.password)
        << one.text;
  }
}

TEST(ProxyUrl, WhatCannotBeUsedIsNotNone) {
  for (const std::string text :
       {"://",           "ftp://x:1",     "socks4://x",    "http://",
        "http:///x",     "http://x:y",    "http://x:0",    "http://x:65536",
        "http://a b",    " http://x",     "http://x\n",    "http://u:%zz@x",
        "http://u:%4@x", "http://[::1",   "http://::1:80", "http://a,b",
        "//x",           "socks5://:p@x", "socks5://@x",   "socks55555://x",
        "http://u:p@"}) {
    const ProxyUrl url = ProxyUrl::parse(text);
    EXPECT_EQ(url.kind(), ProxyUrl::Kind::unusable) << text;
    EXPECT_FALSE(url.usable()) << text;
    EXPECT_EQ(url.text(), "") << text;
    EXPECT_EQ(url.login(), nullptr) << text;
  }
  EXPECT_EQ(ProxyUrl::parse("").kind(), ProxyUrl::Kind::none);
  EXPECT_EQ(ProxyUrl().kind(), ProxyUrl::Kind::none);
  const std::string most(255, 'a'), beyond(256, 'a');
  EXPECT_TRUE(ProxyUrl::parse("socks5://" + most + ":" + most + "@x").usable());
  EXPECT_FALSE(ProxyUrl::parse("socks5://" + beyond + ":p@x").usable());
  EXPECT_FALSE(ProxyUrl::parse("socks5://u:" + beyond + "@x").usable());
  EXPECT_TRUE(ProxyUrl::parse("http://u:" + beyond + "@x").usable());
}

TEST(ProxyUrl, TheLoginIsThereAsItIsSent) {
  const ProxyUrl url = ProxyUrl::parse("http://user:pass@x");
  EXPECT_EQ(url.login()->basic(), "dXNlcjpwYXNz");
  EXPECT_TRUE(url.login()->shown_in("a pass b"));
  EXPECT_TRUE(url.login()->shown_in("Basic dXNlcjpwYXNz"));
  EXPECT_FALSE(url.login()->shown_in("user"));
  EXPECT_FALSE(ProxyUrl::parse("http://user@x").login()->shown_in("anything"));
  EXPECT_EQ(ProxyUrl::parse("http://user@x").login()->basic(), "dXNlcjo=");
}

TEST(ProxyUrl, IsEqualInAllThatCounts) {
  const ProxyUrl url = ProxyUrl::parse("http://u:p@x:1");
  EXPECT_EQ(url, ProxyUrl::parse("HTTP://u:p@X:1/"));
  EXPECT_EQ(url, ProxyUrl(url));
  for (const char* other : {"http://x:1", "http://u:q@x:1", "http://u:p@x:2", "https://u:p@x:1", "",
                            "ftp://u:p@x:1", "http://up:@x:1"}) {
    EXPECT_FALSE(url == ProxyUrl::parse(other)) << other;
    EXPECT_FALSE(ProxyUrl::parse(other) == url) << other;
  }
}

}  // namespace
}  // namespace iron::policy
