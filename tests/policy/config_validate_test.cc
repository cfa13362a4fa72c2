#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/config/config.h"
#include "policy/config/state_file.h"
#include "tests/policy/config_fixture.h"

namespace iron::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kValid = "dns: {proxy_ip: 127.0.0.1}\ntls: {ca_cert: a, ca_key: b}\n";

TEST_F(ConfigTest, ChecksInAFixedOrder) {
  EXPECT_EQ(check_fault("{}"), "dns.proxy_ip is required");
  EXPECT_EQ(check_fault("dns: {enabled: false}"), "tls.ca_cert is required");
  EXPECT_EQ(check_fault("dns: {proxy_ip: x}\ntls: {ca_cert: a}"), "tls.ca_key is required");
  EXPECT_EQ(check_fault("dns: {proxy_ip: x}\ntls: {mode: 'off'}"),
            "tls.mode must be \"mitm\" or \"sni-only\"; got \"off\"");
  EXPECT_EQ(check_fault("dns: {proxy_ip: x}\ntls: {mode: sni-only}"), "accepted");
  EXPECT_EQ(check_fault(kValid), "accepted");
}

TEST_F(ConfigTest, ChecksValues) {
  environment_.set("IRON_TEST_UNSET", nullptr);
  environment_.set("IRON_TEST_EMPTY", "");
  const struct {
    const char *text, *fault;
  } cases[] = {
      {"proxy: {upstream_response_header_timeout: -5s}",
       "proxy.upstream_response_header_timeout must be positive; got -5s"},
      {"proxy: {upstream_deny_cidrs: ['1.2.3.4']}",
       "proxy.upstream_deny_cidrs: invalid CIDR \"1.2.3.4\": must be CIDR notation, e.g. "
       "1.2.3.4/32 or ::1/128"},
      {"proxy: {upstream_deny_cidrs: [' ']}", "proxy.upstream_deny_cidrs: empty CIDR entry"},
      {"management: {listen: x, api_key_env: IRON_TEST_UNSET}",
       "management.api_key_env \"IRON_TEST_UNSET\" is not set in the environment"},
      {"management: {listen: x, api_key_env: IRON_TEST_EMPTY}",
       "management.api_key_env \"IRON_TEST_EMPTY\" is not set in the environment"},
      {"management: {api_key_env: IRON_TEST_UNSET}", "accepted"},
      {"proxy: {drain_timeout: -5s}", "proxy.drain_timeout must not be negative; got -5s"},
      {"proxy: {limits: {max_connections: -1}}",
       "proxy.limits.max_connections must be positive; got -1"},
      {"proxy: {limits: {max_connections_per_client: -1}}",
       "proxy.limits.max_connections_per_client must not be negative; got -1"},
      {"proxy: {limits: {stall_timeout: -90s}}",
       "proxy.limits.stall_timeout must be positive; got -1m30s"},
      {"proxy: {limits: {quiet_timeout: -1h}}",
       "proxy.limits.quiet_timeout must be positive; got -1h0m0s"},
      {"proxy: {limits: {body_budget_bytes: -1}}",
       "proxy.limits.body_budget_bytes must be positive; got -1"},
      {"log: {buffer_bytes: -1}", "log.buffer_bytes must be positive; got -1"},
      {"log: {when_full: x}", "log.when_full must be \"wait\" or \"drop\"; got \"x\""},
      {"hardening: on", "hardening must be \"auto\" or \"off\"; got \"on\""},
  };
  for (const auto& row : cases)
    EXPECT_EQ(check_fault(std::string(kValid) + row.text), row.fault) << row.text;
  EXPECT_EQ(check_fault("dns: {proxy_ip: x}\ntls: {ca_cert: a, ca_key: b, leaf_signer: CA}"),
            "tls.leaf_signer must be \"auto\" or \"ca\"; got \"CA\"");
}

TEST_F(ConfigTest, ChecksDnsRecords) {
  const struct {
    const char *record, *fault;
  } cases[] = {
      {"{type: A, value: x}", "dns.records[0].name is required"},
      {"{name: a, type: AAAA, value: x}", "dns.records[0].type must be A or CNAME; got \"AAAA\""},
      {"{name: a, type: a, value: x}", "dns.records[0].type must be A or CNAME; got \"a\""},
      {"{name: a, type: CNAME}", "dns.records[0].value is required"},
      {"{name: a, type: A, value: anything}", "accepted"},
  };
  for (const auto& row : cases)
    EXPECT_EQ(check_fault("dns: {enabled: false, records: [" + std::string(row.record) +
                          "]}\ntls: {mode: sni-only}"),
              row.fault);
}

TEST_F(ConfigTest, ChecksTheLogLevel) {
  EXPECT_EQ(fault([] { check_log_level("INFO"); }), "unknown log level: \"INFO\"");
  EXPECT_EQ(fault([] { check_log_level("warn"); }), "accepted");
  const std::string text = std::string(kValid) + "log: {level: nope}";
  EXPECT_EQ(check_fault(text), "accepted");
  EXPECT_EQ(check_fault(text, ValidateFor::reload), "log.level: unknown log level: \"nope\"");
}

TEST_F(ConfigTest, TellsWhatNeedsARestart) {
  const Config running = load(kValid);
  EXPECT_THAT(keys_needing_restart(running, running), IsEmpty());
  const Config applied = load(
      "dns: {proxy_ip: 127.0.0.1}\n"
      "proxy: {upstream_deny_cidrs: [], max_request_body_bytes: 5, max_response_body_bytes: 6,\n"
      "  upstream_response_header_timeout: 7s, explain_denials: true, strict_paths: true}\n"
      "tls: {ca_cert: c, ca_key: d, leaf_signer: ca}\nlog: {audit_path: x}\n"
      "transforms: [{name: secrets}]\n");
  EXPECT_THAT(keys_needing_restart(running, applied), IsEmpty());
  const Config changed = load(
      "dns: {proxy_ip: 127.0.0.2, records: [{name: a}]}\n"
      "proxy: {http_listens: [x], limits: {idle_timeout: 1s}}\n"
      "tls: {ca_cert: a, ca_key: b, mode: sni-only}\nlog: {level: debug}\nhardening: off\n");
  EXPECT_THAT(keys_needing_restart(running, changed),
              ElementsAre("dns.proxy_ip", "dns.records", "proxy.http_listens",
                          "proxy.limits.idle_timeout", "tls.mode", "log.level", "hardening"));
}

TEST_F(ConfigTest, FindsTheStateFile) {
  environment_.set("IRON_STATE_STORE", nullptr);
  environment_.set("XDG_CONFIG_HOME", nullptr);
  environment_.set("HOME", nullptr);
  EXPECT_EQ(fault([] { state_file_path(); }),
            "determining config directory: neither $XDG_CONFIG_HOME nor $HOME are defined");
  environment_.set("HOME", "/h");
  EXPECT_EQ(state_file_path(), "/h/.config/iron-proxy/state");
  environment_.set("XDG_CONFIG_HOME", "/x");
  EXPECT_EQ(state_file_path(), "/x/iron-proxy/state");
  environment_.set("IRON_STATE_STORE", "s");
  EXPECT_EQ(state_file_path(), "s");
}

TEST_F(ConfigTest, RefusesManagedMode) {
  environment_.set("IRON_ENROLLMENT_TOKEN", nullptr);
  environment_.set("IRON_STATE_STORE", path("state").c_str());
  EXPECT_EQ(fault([] { refuse_managed_mode(""); }), "accepted");
  EXPECT_EQ(fault([] { refuse_managed_mode("t"); }),
            "-enrollment-token is not supported by this build");
  std::ofstream(path("state")) << "x";
  EXPECT_EQ(fault([] { refuse_managed_mode(""); }),
            path("state") + " is not supported by this build");
  environment_.set("IRON_ENROLLMENT_TOKEN", "t");
  EXPECT_EQ(fault([] { refuse_managed_mode(""); }),
            "IRON_ENROLLMENT_TOKEN is not supported by this build");
}

}  // namespace
}  // namespace iron::policy
