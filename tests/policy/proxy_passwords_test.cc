#include "policy/config/proxy_passwords.h"

#include <gtest/gtest.h>

#include <string>

#include "policy/match/proxy_url.h"
#include "tests/policy/config_fixture.h"

namespace iron::policy {
namespace {

TEST(ProxyPasswords, AreMaskedWhereTheyStand) {
  struct Case {
    const char* text;
    const char* masked;
  };
  constexpr Case cases[] = {
      {"http_proxy: http://u:abc@p:1", "http_proxy: http://u:xxx@p:1"},
      {"  https_proxy :\thttps://u:a:b@p\n", "  https_proxy :\thttps://u:xxx@p\n"},
      {"{\"http_proxy\": \"http://u:a b@p\", \"k\": 1}",
       "{\"http_proxy\": \"http://u:xxx@p\", \"k\": 1}"},
      {"'http_proxy': 'u:abc@p' # c", "'http_proxy': 'u:xxx@p' # c"},
      {"{http_proxy: http://u:abc@p:1, https_proxy: http://u:de@p}",
       "{http_proxy: http://u:xxx@p:1, https_proxy: http://u:xx@p}"},
      {"http_proxy: http://u:a@b@p", "http_proxy: http://u:xxx@p"},
      {"upstream_proxy: http://u:abc@p", "upstream_proxy: http://u:xxx@p"},
      {"# http_proxy: http://u:abc@p", "# http_proxy: http://u:xxx@p"},
      // None there.
      {"http_proxy: http://u@p:1", nullptr},
      {"http_proxy: http://u:@p:1", nullptr},
      {"http_proxy: http://p:1/a@b", nullptr},
      {"http_proxy:", nullptr},
      {"http_proxy", nullptr},
      {"no_proxy: u:abc@p", nullptr},
      {"dsn: http://u:abc@p", nullptr},
      // What only YAML can read.
      {"http_proxy: \"http://u:a\\x62@p\"", nullptr},
      {"http_proxy: 'http://u:a''b@p'", nullptr},
      {"http_proxy:\n  http://u:abc@p", nullptr},
  };
  for (const Case& one : cases) {
    std::string text = one.text;
    const ProxyPasswords passwords(text);
    EXPECT_EQ(text, one.masked == nullptr ? one.text : one.masked);
  }
}

TEST(ProxyPasswords, AreFoundByKeyAndLine) {
  std::string text =
      "a: 1\nhttp_proxy: http://u:abc@p:1\nb: {https_proxy: http://u:def@p:1}\n"
      "http_proxy: http://u:ghi@p:1\n";
  const ProxyPasswords passwords(text);
  EXPECT_EQ(passwords.url("http_proxy", 2, "http://u:xxx@p:1"), "http://u:abc@p:1");
  EXPECT_EQ(passwords.url("https_proxy", 3, "http://u:xxx@p:1"), "http://u:def@p:1");
  EXPECT_EQ(passwords.url("http_proxy", 4, "http://u:xxx@p:1"), "http://u:ghi@p:1");
  EXPECT_EQ(passwords.url("http_proxy", 3, "http://u:xxx@p:1"), "http://u:xxx@p:1");
  EXPECT_EQ(passwords.url("http_proxy", 2, "http://u:xxx@q:1"), "http://u:xxx@q:1");
  EXPECT_EQ(passwords.url("http_proxy", 2, "http://u:xxx@p:1 more"), "http://u:xxx@p:1 more");
}

class UpstreamProxyKeys : public ConfigTest {};

TEST_F(UpstreamProxyKeys, AreReadWithTheirPasswords) {
  for (const std::string text :
       {"proxy:\n  upstream_proxy:\n    http_proxy: http://u:abc@p:1\n    https_proxy: s://u:q@p\n",
        "{\"proxy\": {\"upstream_proxy\": {\"http_proxy\": \"http://u:abc@p:1\", \"https_proxy\": "
        "\"s://u:q@p\"}}}",
        "proxy: {upstream_proxy: {http_proxy: http://u:abc@p:1, https_proxy: s://u:q@p}}",
        "proxy:\n  upstream_proxy:\n    http_proxy:\n      http://u:abc@p:1\n    https_proxy: 'x "
        "y'\n"}) {
    const Config::Proxy::UpstreamProxy read = load(text).proxy.upstream_proxy;
    EXPECT_TRUE(read.present);
    ASSERT_NE(read.http_proxy.login(), nullptr) << text;
    EXPECT_EQ(read.http_proxy.login()->password(), "abc") << text;
    EXPECT_EQ(read.http_proxy.text(), "http://p:1");
    EXPECT_EQ(read.https_proxy.kind(), ProxyUrl::Kind::unusable);
  }
}

TEST_F(UpstreamProxyKeys, TheBlockAloneCounts) {
  Environment environment;
  environment.set("IRON_PROXY_USE_ENV_PROXY", nullptr);
  const auto present = [this](const std::string& text) {
    return load(text).proxy.upstream_proxy.present;
  };
  EXPECT_FALSE(present("{}"));
  EXPECT_FALSE(present("proxy: {upstream_proxy: ~}"));
  EXPECT_TRUE(present("proxy: {upstream_proxy: {}}"));
  EXPECT_TRUE(present("proxy: {upstream_proxy: {no_proxy: a}}"));
  environment.set("IRON_PROXY_USE_ENV_PROXY", "1");
  EXPECT_TRUE(present("{}"));
  environment.set("IRON_PROXY_USE_ENV_PROXY", "0");
  EXPECT_FALSE(present("{}"));
  EXPECT_TRUE(present("proxy: {upstream_proxy: {}}"));
  environment.set("IRON_PROXY_USE_ENV_PROXY", "x");
  EXPECT_EQ(load_fault("{}"),
            "IRON_PROXY_USE_ENV_PROXY: strconv.ParseBool: parsing \"x\": invalid syntax");
}

TEST_F(UpstreamProxyKeys, NoFaultShowsAPassword) {
  EXPECT_EQ(load_fault("proxy:\n  upstream_proxy: u:abc@p\n"),
            "parsing config: yaml: unmarshal errors:\n  line 2: cannot unmarshal !!str `u:xxx@p` "
            "into config.UpstreamProxy");
  EXPECT_EQ(load_fault("proxy:\n  upstream_proxy:\n    zz: 1\n"),
            "parsing config: yaml: unmarshal errors:\n  line 3: field zz not found in type "
            "config.UpstreamProxy");
}

TEST_F(UpstreamProxyKeys, AReloadAppliesWhetherTheBlockIsThere) {
  const Config with = load("proxy: {upstream_proxy: {}}"), without = load("{}");
  Config running = without;
  apply_reload(running, with);
  EXPECT_TRUE(running.proxy.upstream_proxy.present);
  apply_reload(running, without);
  EXPECT_FALSE(running.proxy.upstream_proxy.present);
  EXPECT_TRUE(keys_needing_restart(without, with).empty());
}

}  // namespace
}  // namespace iron::policy
