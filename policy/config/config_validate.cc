#include <cstdlib>

#include "policy/config/config.h"
#include "policy/match/deny_list.h"
#include "policy/match/pass_through.h"
#include "policy/quote.h"

namespace iron::policy {
namespace {

void require(const std::string& value, const std::string& key) {
  if (value.empty()) throw ConfigError(key + " is required");
}

void check_tls(const Config::Tls& tls) {
  if (tls.mode == "mitm") {
    require(tls.ca_cert, "tls.ca_cert");
    require(tls.ca_key, "tls.ca_key");
  } else if (!tls.sni_only()) {
    throw ConfigError("tls.mode must be \"mitm\" or \"sni-only\"; got " + quoted(tls.mode));
  }
}

void check_management(const Config::Management& management) {
  if (management.listen.empty()) return;
  const char* key = std::getenv(management.api_key_env.c_str());
  if (key == nullptr || *key == '\0')
    throw ConfigError("management.api_key_env " + quoted(management.api_key_env) +
                      " is not set in the environment");
}

void check_dns_records(const std::vector<DnsRecord>& records) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::string prefix = "dns.records[" + std::to_string(i) + "].";
    const DnsRecord& record = records[i];
    require(record.name, prefix + "name");
    if (record.type != "A" && record.type != "CNAME")
      throw ConfigError(prefix + "type must be A or CNAME; got " + quoted(record.type));
    require(record.value, prefix + "value");
  }
}

std::string shown(std::int64_t value) { return std::to_string(value); }
std::string shown(Duration value) { return format_duration(value); }

template <class Value>
void positive(const char* key, Value value) {
  if (value <= Value{})
    throw ConfigError(std::string(key) + " must be positive; got " + shown(value));
}

template <class Value>
void not_negative(const char* key, Value value) {
  if (value < Value{})
    throw ConfigError(std::string(key) + " must not be negative; got " + shown(value));
}

void check_limits(const Limits& limits) {
  positive("proxy.limits.max_connections", limits.max_connections);
  not_negative("proxy.limits.max_connections_per_client", limits.max_connections_per_client);
  positive("proxy.limits.connect_head_bytes", limits.connect_head_bytes);
  positive("proxy.limits.request_head_bytes", limits.request_head_bytes);
  positive("proxy.limits.request_head_fields", limits.request_head_fields);
  positive("proxy.limits.first_byte_timeout", limits.first_byte_timeout);
  positive("proxy.limits.handshake_timeout", limits.handshake_timeout);
  positive("proxy.limits.request_head_timeout", limits.request_head_timeout);
  positive("proxy.limits.idle_timeout", limits.idle_timeout);
  positive("proxy.limits.stall_timeout", limits.stall_timeout);
  positive("proxy.limits.quiet_timeout", limits.quiet_timeout);
  positive("proxy.limits.body_budget_bytes", limits.body_budget_bytes);
}

void one_of_two(const char* key, const std::string& value, const char* first, const char* second) {
  if (value == first || value == second) return;
  throw ConfigError(std::string(key) + " must be " + quoted(first) + " or " + quoted(second) +
                    "; got " + quoted(value));
}

/// Collects the names of keys whose values differ.
class Difference {
 public:
  template <class Value>
  void compare(const char* key, const Value& running, const Value& loaded) {
    if (!(running == loaded)) keys_.emplace_back(key);
  }
  std::vector<std::string> take() { return std::move(keys_); }

 private:
  std::vector<std::string> keys_;
};

void compare_limits(Difference& difference, const Limits& a, const Limits& b) {
#define IRON_COMPARE(key) difference.compare("proxy.limits." #key, a.key, b.key)
  IRON_COMPARE(max_connections);
  IRON_COMPARE(max_connections_per_client);
  IRON_COMPARE(connect_head_bytes);
  IRON_COMPARE(request_head_bytes);
  IRON_COMPARE(request_head_fields);
  IRON_COMPARE(first_byte_timeout);
  IRON_COMPARE(handshake_timeout);
  IRON_COMPARE(request_head_timeout);
  IRON_COMPARE(idle_timeout);
  IRON_COMPARE(stall_timeout);
  IRON_COMPARE(quiet_timeout);
  IRON_COMPARE(body_budget_bytes);
#undef IRON_COMPARE
}

}  // namespace

void check_log_level(const std::string& level) {
  if (level != "debug" && level != "info" && level != "warn" && level != "error")
    throw ConfigError("unknown log level: " + quoted(level));
}

void validate(const Config& config, ValidateFor purpose) {
  if (config.dns.enabled) require(config.dns.proxy_ip, "dns.proxy_ip");
  check_tls(config.tls);
  if (purpose == ValidateFor::reload) {
    try {
      check_log_level(config.log.level);
    } catch (const ConfigError& error) {
      throw ConfigError("log.level: " + error.text());
    }
  }
  positive("proxy.upstream_response_header_timeout", config.proxy.upstream_response_header_timeout);
  static_cast<void>(DenyList(config.proxy.upstream_deny_cidrs));
  check_management(config.management);
  check_dns_records(config.dns.records);
  not_negative("proxy.drain_timeout", config.proxy.drain_timeout);
  check_limits(config.proxy.limits);
  PassThroughList::check(config.proxy.passthrough);
  positive("log.buffer_bytes", config.log.buffer_bytes);
  one_of_two("log.when_full", config.log.when_full, "wait", "drop");
  one_of_two("tls.leaf_signer", config.tls.leaf_signer, "auto", "ca");
  one_of_two("hardening", config.hardening, "auto", "off");
}

std::vector<std::string> keys_needing_restart(const Config& running, const Config& loaded) {
  Difference difference;
#define IRON_COMPARE(block, key) \
  difference.compare(#block "." #key, running.block.key, loaded.block.key)
  IRON_COMPARE(dns, listen);
  IRON_COMPARE(dns, enabled);
  IRON_COMPARE(dns, proxy_ip);
  IRON_COMPARE(dns, upstream_resolver);
  IRON_COMPARE(dns, passthrough);
  IRON_COMPARE(dns, records);
  IRON_COMPARE(proxy, http_listen);
  IRON_COMPARE(proxy, http_listens);
  IRON_COMPARE(proxy, https_listen);
  IRON_COMPARE(proxy, tunnel_listen);
  IRON_COMPARE(proxy, tunnel_listens);
  IRON_COMPARE(proxy, drain_timeout);
  compare_limits(difference, running.proxy.limits, loaded.proxy.limits);
  IRON_COMPARE(tls, mode);
  IRON_COMPARE(tls, cert_cache_size);
  IRON_COMPARE(tls, leaf_cert_expiry_hours);
  IRON_COMPARE(metrics, listen);
  IRON_COMPARE(management, listen);
  IRON_COMPARE(management, api_key_env);
  IRON_COMPARE(log, level);
  IRON_COMPARE(log, buffer_bytes);
  IRON_COMPARE(log, when_full);
#undef IRON_COMPARE
  difference.compare("hardening", running.hardening, loaded.hardening);
  return difference.take();
}

}  // namespace iron::policy
