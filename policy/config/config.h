#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policy/config_error.h"
#include "policy/duration.h"
#include "policy/match/pass_through.h"
#include "policy/match/proxy_url.h"

namespace iron::policy {

class YamlNode;  // read through policy/yaml/yaml_reader.h

struct DnsRecord {
  std::string name, type, value;
  friend bool operator==(const DnsRecord&, const DnsRecord&) = default;
};

/// One entry of `transforms`. `config` is null when missing.
struct TransformConfig {
  std::string name;
  std::shared_ptr<const YamlNode> config;
};

/// Limits and deadlines of `proxy.limits`: the one table of them. Bytes and counts.
struct Limits {
  std::int64_t max_connections = 10000;
  std::int64_t max_connections_per_client = 0;  ///< 0: off
  std::int64_t connect_head_bytes = 65536;
  std::int64_t request_head_bytes = 1048576;
  std::int64_t request_head_fields = 1000;
  Duration first_byte_timeout = std::chrono::seconds(45);
  Duration handshake_timeout = std::chrono::seconds(10);
  Duration request_head_timeout = std::chrono::seconds(20);
  Duration idle_timeout = std::chrono::minutes(5);
  Duration stall_timeout = std::chrono::seconds(60);
  Duration quiet_timeout = std::chrono::hours(1);
  std::int64_t body_budget_bytes = 268435456;
  friend bool operator==(const Limits&, const Limits&) = default;
};

/// The whole configuration after environment overrides and defaults; a value. Default
/// values stand here, everything else about a key in policy/config/config_keys.h.
struct Config {
  std::string path;  ///< file it came from; empty without -config

  struct Dns {
    std::string listen = ":53";
    bool enabled = true;
    std::string proxy_ip, upstream_resolver;
    std::vector<std::string> passthrough;
    std::vector<DnsRecord> records;
  } dns;

  struct Proxy {
    std::string http_listen = ":80", https_listen = ":443", tunnel_listen;
    std::vector<std::string> http_listens, tunnel_listens;
    std::int64_t max_request_body_bytes = 1048576;  ///< negative: unlimited
    std::int64_t max_response_body_bytes = 0;       ///< <= 0: unlimited
    Duration upstream_response_header_timeout = std::chrono::seconds(30);
    std::vector<std::string> upstream_deny_cidrs;  ///< as configured
    Duration drain_timeout = std::chrono::seconds(4);
    Limits limits;
    std::vector<PassThroughEntry> passthrough;
    bool explain_denials = false, pin_tunnel_target = false, strict_paths = false,
         deny_special_addresses = false;

    struct UpstreamProxy {
      bool present = false;  ///< with it the proxy environment counts
      ProxyUrl http_proxy, https_proxy;
      std::string no_proxy;
    } upstream_proxy;
  } proxy;

  struct Tls {
    std::string mode = "mitm", ca_cert, ca_key;
    std::int64_t cert_cache_size = 1000;  ///< negative: unlimited
    std::int64_t leaf_cert_expiry_hours = 72;
    std::string leaf_signer = "auto";
    bool sni_only() const { return mode == "sni-only"; }
  } tls;

  std::vector<TransformConfig> transforms;

  struct Metrics {
    std::string listen = ":9090";
  } metrics;

  struct Management {
    std::string listen, api_key_env;
  } management;

  struct Log {
    std::string level = "info", audit_path, when_full = "wait";
    std::int64_t buffer_bytes = 67108864;
  } log;

  std::string hardening = "auto";
};

/// Steps 2 to 4 of the start: reads `path` (empty: no file), applies the IRON_* variables and the
/// defaults. Throws ConfigError.
Config load_config(const std::string& path);
/// Step 5: the one check that comes before all others, when the log is made. Throws ConfigError
/// `unknown log level: "x"`.
void check_log_level(const std::string& level);
/// Step 9: every check that needs no other component, first fault wins. Throws ConfigError.
/// `at_reload` adds the `log.level: ` check that a start makes earlier.
enum class ValidateFor { start, reload };
void validate(const Config& config, ValidateFor purpose);
/// Names of the keys (dotted, in the order of the file's documentation) whose values differ and
/// that a reload can not apply.
std::vector<std::string> keys_needing_restart(const Config& running, const Config& loaded);
/// Gives `running` the values of `loaded` that a reload can apply: those of all other keys.
void apply_reload(Config& running, const Config& loaded);

}  // namespace iron::policy
