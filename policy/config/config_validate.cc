#include <algorithm>
#include <cstdlib>

#include "policy/config/config.h"
#include "policy/config/config_keys.h"
#include "policy/config/log_levels.h"
#include "policy/match/pass_through.h"
#include "policy/quote.h"

namespace iron::policy {
namespace {

void require(const std::string& value, const std::string& key) {
  if (value.empty()) throw ConfigError(key + " is required");
}

void check_tls(const Config::Tls& tls) {
  if (tls.sni_only()) return;
  require(tls.ca_cert, "tls.ca_cert");
  require(tls.ca_key, "tls.ca_key");
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

template <class Value>
bool differ(const Value& running, const Value& loaded) {
  return !(running == loaded);
}
/// Nodes of two files can not be compared.
bool differ(const std::vector<TransformConfig>&, const std::vector<TransformConfig>&) {
  return true;
}

}  // namespace

void check_log_level(const std::string& level) {
  if (std::ranges::find(kLogLevels, level) == kLogLevels.end())
    throw ConfigError("unknown log level: " + quoted(level));
}

void validate(const Config& config, ValidateFor purpose) {
  // The order decides which of several faults is reported; scripts know it.
  if (config.dns.enabled) require(config.dns.proxy_ip, "dns.proxy_ip");
  check_keys(config, "tls.mode");
  check_tls(config.tls);
  if (purpose == ValidateFor::reload) {
    try {
      check_log_level(config.log.level);
    } catch (const ConfigError& error) {
      throw ConfigError("log.level: " + error.text());
    }
  }
  check_keys(config, "proxy.upstream_response_header_timeout");
  check_keys(config, "proxy.upstream_deny_cidrs");
  check_management(config.management);
  check_dns_records(config.dns.records);
  check_keys(config, "proxy");
  PassThroughList::check(config.proxy.passthrough);
  check_keys(config, "log");
  // What is left.
  check_keys(config, "");
}

std::vector<std::string> keys_needing_restart(const Config& running, const Config& loaded) {
  std::vector<std::string> keys;
  for (const ConfigKey& key : config_keys()) {
    if (key.reload != Reload::restart) continue;
    const auto compare = [&](const auto& a, const auto& b) {
      if (differ(a, b)) keys.emplace_back(key.path);
    };
    with_member(key, compare, running, loaded);
  }
  return keys;
}

void apply_reload(Config& running, const Config& loaded) {
  for (const ConfigKey& key : config_keys()) {
    if (key.reload == Reload::restart) continue;
    with_member(key, [](auto& out, const auto& in) { out = in; }, running, loaded);
    if (key.present != nullptr) key.present(running) = key.present(const_cast<Config&>(loaded));
  }
}

}  // namespace iron::policy
