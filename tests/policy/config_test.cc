#include "policy/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/policy/config_fixture.h"

namespace iron::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(ConfigTest, HasDefaults) {
  for (const Config& config : {load_config(""), load("{}"), load("dns: ~\nproxy:\nlog: {}\n")}) {
    EXPECT_EQ(config.dns.listen, ":53");
    EXPECT_TRUE(config.dns.enabled);
    EXPECT_EQ(config.proxy.http_listen, ":80");
    EXPECT_EQ(config.proxy.https_listen, ":443");
    EXPECT_EQ(config.proxy.tunnel_listen, "");
    EXPECT_EQ(config.proxy.max_request_body_bytes, 1048576);
    EXPECT_EQ(config.proxy.max_response_body_bytes, 0);
    EXPECT_EQ(config.proxy.upstream_response_header_timeout, std::chrono::seconds(30));
    EXPECT_THAT(config.proxy.upstream_deny_cidrs,
                ElementsAre("169.254.169.254/32", "fd00:ec2::254/128", "127.0.0.0/8", "::1/128"));
    EXPECT_EQ(config.proxy.drain_timeout, std::chrono::seconds(4));
    EXPECT_EQ(config.proxy.limits, Limits{});
    EXPECT_EQ(config.tls.mode, "mitm");
    EXPECT_EQ(config.tls.cert_cache_size, 1000);
    EXPECT_EQ(config.tls.leaf_cert_expiry_hours, 72);
    EXPECT_EQ(config.tls.leaf_signer, "auto");
    EXPECT_EQ(config.metrics.listen, ":9090");
    EXPECT_EQ(config.management.listen, "");
    EXPECT_EQ(config.management.api_key_env, "");
    EXPECT_EQ(config.log.level, "info");
    EXPECT_EQ(config.log.when_full, "wait");
    EXPECT_EQ(config.log.buffer_bytes, 67108864);
    EXPECT_EQ(config.hardening, "auto");
  }
}

TEST_F(ConfigTest, ReadsEveryKey) {
  const Config config = load(R"(
dns:
  listen: 127.0.0.1:5353
  enabled: false
  proxy_ip: 127.0.0.1
  upstream_resolver: 9.9.9.9:53
  passthrough: ['*.internal', x]
  records: [{name: a, type: A, value: 1.2.3.4}, ~]
proxy:
  http_listen: a
  https_listen: b
  tunnel_listen: c
  http_listens: [d]
  tunnel_listens: [e]
  max_request_body_bytes: -1
  max_response_body_bytes: 7
  upstream_response_header_timeout: 120s
  upstream_deny_cidrs: []
  drain_timeout: 0
  limits:
    max_connections: 1
    max_connections_per_client: 2
    connect_head_bytes: 3
    request_head_bytes: 4
    request_head_fields: 5
    first_byte_timeout: 6s
    handshake_timeout: 7s
    request_head_timeout: 8s
    idle_timeout: 9s
    stall_timeout: 10s
    quiet_timeout: 10m
    body_budget_bytes: 11
  explain_denials: on
  pin_tunnel_target: true
  strict_paths: true
  deny_special_addresses: true
tls: {mode: sni-only, ca_cert: f, ca_key: g, cert_cache_size: 8, leaf_cert_expiry_hours: 9, leaf_signer: ca}
transforms:
- name: allowlist
  config: {domains: [x]}
- name: secrets
metrics: {listen: h}
management: {listen: i, api_key_env: j}
log: {level: debug, audit_path: k, buffer_bytes: 10, when_full: drop}
hardening: off
)");
  EXPECT_EQ(config.path, path());
  EXPECT_EQ(config.dns.listen, "127.0.0.1:5353");
  EXPECT_FALSE(config.dns.enabled);
  EXPECT_EQ(config.dns.proxy_ip, "127.0.0.1");
  EXPECT_EQ(config.dns.upstream_resolver, "9.9.9.9:53");
  EXPECT_THAT(config.dns.passthrough, ElementsAre("*.internal", "x"));
  EXPECT_EQ(config.dns.records, (std::vector<DnsRecord>{{"a", "A", "1.2.3.4"}}));
  EXPECT_EQ(config.proxy.http_listen + config.proxy.https_listen + config.proxy.tunnel_listen,
            "abc");
  EXPECT_THAT(config.proxy.http_listens, ElementsAre("d"));
  EXPECT_THAT(config.proxy.tunnel_listens, ElementsAre("e"));
  EXPECT_EQ(config.proxy.max_request_body_bytes, -1);
  EXPECT_EQ(config.proxy.max_response_body_bytes, 7);
  EXPECT_EQ(config.proxy.upstream_response_header_timeout, std::chrono::seconds(120));
  EXPECT_THAT(config.proxy.upstream_deny_cidrs, IsEmpty());
  EXPECT_EQ(config.proxy.drain_timeout, Duration::zero());
  using std::chrono::seconds;
  EXPECT_EQ(config.proxy.limits, (Limits{1, 2, 3, 4, 5, seconds(6), seconds(7), seconds(8),
                                         seconds(9), seconds(10), seconds(600), 11}));
  EXPECT_TRUE(config.proxy.explain_denials && config.proxy.pin_tunnel_target &&
              config.proxy.strict_paths && config.proxy.deny_special_addresses);
  EXPECT_TRUE(config.tls.sni_only());
  EXPECT_EQ(config.tls.ca_cert + config.tls.ca_key, "fg");
  EXPECT_EQ(config.tls.cert_cache_size, 8);
  EXPECT_EQ(config.tls.leaf_cert_expiry_hours, 9);
  EXPECT_EQ(config.tls.leaf_signer, "ca");
  ASSERT_EQ(config.transforms.size(), 2u);
  EXPECT_EQ(config.transforms[0].name, "allowlist");
  EXPECT_NE(config.transforms[0].config, nullptr);
  EXPECT_EQ(config.transforms[1].config, nullptr);
  EXPECT_EQ(config.metrics.listen + config.management.listen + config.management.api_key_env,
            "hij");
  EXPECT_EQ(config.log.level + config.log.audit_path + config.log.when_full, "debugkdrop");
  EXPECT_EQ(config.log.buffer_bytes, 10);
  EXPECT_EQ(config.hardening, "off");
}

TEST_F(ConfigTest, ZeroAndEmptyMeanTheDefault) {
  const Config config = load(R"(
dns: {listen: ""}
proxy:
  http_listen: ""
  max_request_body_bytes: 0
  upstream_response_header_timeout: 0s
  upstream_deny_cidrs: ~
  drain_timeout: ""
  limits: {max_connections: 0, idle_timeout: 0, stall_timeout: "", quiet_timeout: 0s}
tls: {mode: "", cert_cache_size: 0, leaf_cert_expiry_hours: 0, leaf_signer: ~}
management: {listen: x}
log: {level: "", buffer_bytes: 0, when_full: ""}
hardening: ~
)");
  const Config standard = load_config("");
  EXPECT_EQ(config.dns.listen, standard.dns.listen);
  EXPECT_EQ(config.proxy.http_listen, standard.proxy.http_listen);
  EXPECT_EQ(config.proxy.max_request_body_bytes, standard.proxy.max_request_body_bytes);
  EXPECT_EQ(config.proxy.upstream_response_header_timeout, std::chrono::seconds(30));
  EXPECT_EQ(config.proxy.upstream_deny_cidrs, standard.proxy.upstream_deny_cidrs);
  EXPECT_EQ(config.proxy.drain_timeout, std::chrono::seconds(4));
  EXPECT_EQ(config.proxy.limits, Limits{});
  EXPECT_EQ(config.tls.mode, "mitm");
  EXPECT_EQ(config.tls.cert_cache_size, 1000);
  EXPECT_EQ(config.tls.leaf_cert_expiry_hours, 72);
  EXPECT_EQ(config.tls.leaf_signer, "auto");
  EXPECT_EQ(config.management.api_key_env, "IRON_MANAGEMENT_API_KEY");
  EXPECT_EQ(config.log.level, "info");
  EXPECT_EQ(config.log.buffer_bytes, 67108864);
  EXPECT_EQ(config.log.when_full, "wait");
  EXPECT_EQ(config.hardening, "auto");
}

TEST_F(ConfigTest, NamesFileFaults) {
  EXPECT_EQ(fault([&] { load_config(path("absent")); }),
            "opening config file: open " + path("absent") + ": no such file or directory");
  EXPECT_EQ(fault([&] { load_config(folder_); }),
            "parsing config: yaml: input error: read " + folder_ + ": is a directory");
  EXPECT_EQ(load_fault(""), "parsing config: EOF");
  EXPECT_EQ(fault([&] { load_config("s3://bucket/key"); }),
            "s3://bucket/key is not supported by this build");
}

TEST_F(ConfigTest, CollectsFaultsOfAllBlocks) {
  EXPECT_EQ(load_fault("log: {level: [x]}\nproxy:\n  zzz: 1\n  limits: {yyy: 2}\n"
                       "tls: {cert_cache_size: x}\nLog: {}\ntransforms: [5, {bogus: 1}]\n"
                       "dns:\n  records: {a: b}\n  records: []\n"),
            "parsing config: yaml: unmarshal errors:\n"
            "  line 1: cannot unmarshal !!seq into string\n"
            "  line 3: field zzz not found in type config.Proxy\n"
            "  line 4: field yyy not found in type config.Limits\n"
            "  line 5: cannot unmarshal !!str `x` into int\n"
            "  line 6: field Log not found in type config.Config\n"
            "  line 7: cannot unmarshal !!int `5` into config.Transform\n"
            "  line 7: field bogus not found in type config.Transform\n"
            "  line 10: mapping key \"records\" already defined at line 9");
  EXPECT_EQ(load_fault("dns: foo\ntransforms: bar\nproxy: {max_request_body_bytes: 'x'}\n"),
            "parsing config: yaml: unmarshal errors:\n"
            "  line 1: cannot unmarshal !!str `foo` into config.DNS\n"
            "  line 2: cannot unmarshal !!str `bar` into []config.Transform\n"
            "  line 3: cannot unmarshal !!str `x` into int64");
}

TEST_F(ConfigTest, ADurationFaultHasNoLine) {
  EXPECT_EQ(load_fault("zzz: 1\nproxy:\n  upstream_response_header_timeout: 30\n"),
            "parsing config: time: missing unit in duration \"30\"");
  EXPECT_EQ(load_fault("proxy: {limits: {idle_timeout: true}}"),
            "parsing config: time: invalid duration \"true\"");
}

TEST_F(ConfigTest, RefusesWhatIsNotBuilt) {
  EXPECT_EQ(load_fault("mcp: {}"), "mcp is not supported by this build");
  EXPECT_EQ(load_fault("postgres: [x]"), "postgres is not supported by this build");
  EXPECT_EQ(load_fault("mcp: ~\npostgres: null\n"), "accepted");
}

TEST_F(ConfigTest, TheEnvironmentWins) {
  environment_.set("IRON_DNS_ENABLED", "F");
  environment_.set("IRON_DNS_PROXY_IP", "1.2.3.4");
  environment_.set("IRON_PROXY_TUNNEL_LISTEN", "t");
  environment_.set("IRON_PROXY_MAX_REQUEST_BODY_BYTES", "+12");
  environment_.set("IRON_PROXY_MAX_RESPONSE_BODY_BYTES", "-3");
  environment_.set("IRON_TLS_LEAF_CERT_EXPIRY_HOURS", "0");
  environment_.set("IRON_PROXY_UPSTREAM_RESPONSE_HEADER_TIMEOUT", "5s");
  environment_.set("IRON_LOG_LEVEL", "");
  environment_.set("IRON_TLS_MODE", "sni-only");
  const Config config = load("dns: {proxy_ip: 9.9.9.9}\nlog: {level: warn}\n");
  EXPECT_FALSE(config.dns.enabled);
  EXPECT_EQ(config.dns.proxy_ip, "1.2.3.4");
  EXPECT_EQ(config.proxy.tunnel_listen, "t");
  EXPECT_EQ(config.proxy.max_request_body_bytes, 12);
  EXPECT_EQ(config.proxy.max_response_body_bytes, -3);
  EXPECT_EQ(config.tls.leaf_cert_expiry_hours, 72);
  EXPECT_EQ(config.proxy.upstream_response_header_timeout, std::chrono::seconds(5));
  EXPECT_EQ(config.log.level, "warn");
  EXPECT_TRUE(config.tls.sni_only());
}

TEST_F(ConfigTest, TheEnvironmentReplacesTheDenyList) {
  environment_.set("IRON_PROXY_UPSTREAM_DENY_CIDRS", "10.1.2.3/8");
  const std::vector<std::string> one = {"10.1.2.3/8"};
  EXPECT_EQ(load("{}").proxy.upstream_deny_cidrs, one);
  EXPECT_EQ(load("proxy: {upstream_deny_cidrs: []}").proxy.upstream_deny_cidrs, one);
  EXPECT_EQ(load("proxy: {upstream_deny_cidrs: [1.2.3.4/32]}").proxy.upstream_deny_cidrs, one);
  environment_.set("IRON_PROXY_UPSTREAM_DENY_CIDRS", " 10.0.0.0/8\t,::1/128 ");
  const std::vector<std::string> two = {"10.0.0.0/8", "::1/128"};
  EXPECT_EQ(load("{}").proxy.upstream_deny_cidrs, two);
  environment_.set("IRON_PROXY_UPSTREAM_DENY_CIDRS", "");
  EXPECT_EQ(load("{}").proxy.upstream_deny_cidrs.size(), 4U);
}

TEST_F(ConfigTest, TheEnvironmentNamesTheManagementAddress) {
  environment_.set("IRON_MANAGEMENT_LISTEN", "127.0.0.1:1");
  EXPECT_EQ(load("{}").management.listen, "127.0.0.1:1");
  EXPECT_EQ(load("{}").management.api_key_env, "IRON_MANAGEMENT_API_KEY");
  EXPECT_EQ(load("management: {listen: x, api_key_env: K}").management.listen, "127.0.0.1:1");
  EXPECT_EQ(load("management: {listen: x, api_key_env: K}").management.api_key_env, "K");
  environment_.set("IRON_MANAGEMENT_LISTEN", "");
  EXPECT_EQ(load("management: {listen: x}").management.listen, "x");
}

TEST_F(ConfigTest, NamesTheFirstFaultOfTheEnvironment) {
  environment_.set("IRON_PROXY_UPSTREAM_DENY_CIDRS", "x");
  environment_.set("IRON_PROXY_UPSTREAM_RESPONSE_HEADER_TIMEOUT", "5");
  EXPECT_EQ(load_fault("{}").substr(0, 43), "IRON_PROXY_UPSTREAM_RESPONSE_HEADER_TIMEOUT");
}

TEST_F(ConfigTest, NamesFaultsOfTheEnvironment) {
  const struct {
    const char *name, *value, *fault;
  } cases[] = {
      {"IRON_DNS_ENABLED", "yes", "strconv.ParseBool: parsing \"yes\": invalid syntax"},
      {"IRON_PROXY_MAX_REQUEST_BODY_BYTES", "x", "strconv.ParseInt: parsing \"x\": invalid syntax"},
      {"IRON_PROXY_MAX_RESPONSE_BODY_BYTES", " 1",
       "strconv.ParseInt: parsing \" 1\": invalid syntax"},
      {"IRON_TLS_CERT_CACHE_SIZE", "0x10", "strconv.Atoi: parsing \"0x10\": invalid syntax"},
      {"IRON_TLS_CERT_CACHE_SIZE", "1_0", "strconv.Atoi: parsing \"1_0\": invalid syntax"},
      {"IRON_TLS_CERT_CACHE_SIZE", "+-1", "strconv.Atoi: parsing \"+-1\": invalid syntax"},
      {"IRON_TLS_CERT_CACHE_SIZE", "+", "strconv.Atoi: parsing \"+\": invalid syntax"},
      {"IRON_TLS_LEAF_CERT_EXPIRY_HOURS", "99999999999999999999",
       "strconv.Atoi: parsing \"99999999999999999999\": value out of range"},
      {"IRON_PROXY_UPSTREAM_RESPONSE_HEADER_TIMEOUT", "5", "time: missing unit in duration \"5\""},
      {"IRON_PROXY_UPSTREAM_DENY_CIDRS", ",", "empty CIDR entry"},
      {"IRON_PROXY_UPSTREAM_DENY_CIDRS", " ", "empty CIDR entry"},
      {"IRON_PROXY_UPSTREAM_DENY_CIDRS", "10.0.0.0/8,", "empty CIDR entry"},
      {"IRON_PROXY_UPSTREAM_DENY_CIDRS", "10.0.0.0/8, 1.2.3.4",
       "invalid CIDR \"1.2.3.4\": must be CIDR notation, e.g. 1.2.3.4/32 or ::1/128"},
      {"IRON_PROXY_UPSTREAM_DENY_CIDRS", "x/8",
       "invalid CIDR \"x/8\": netip.ParsePrefix(\"x/8\"): ParseAddr(\"x\"): unable to parse IP"},
      {"IRON_PROXY_UPSTREAM_DENY_CIDRS", "1.2.3.4/33",
       "invalid CIDR \"1.2.3.4/33\": netip.ParsePrefix(\"1.2.3.4/33\"): prefix length out of "
       "range"},
  };
  for (const auto& row : cases) {
    Environment environment;
    environment.set(row.name, row.value);
    EXPECT_EQ(fault([] { load_config(""); }), std::string(row.name) + ": " + row.fault);
  }
}

}  // namespace
}  // namespace iron::policy
