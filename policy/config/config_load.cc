#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "policy/config/config.h"
#include "policy/config/open_file.h"
#include "policy/match/deny_list.h"
#include "policy/quote.h"
#include "policy/yaml/yaml_reader.h"

namespace iron::policy {
namespace {

/// One byte more than parse_yaml accepts is enough to know that a file is too large.
constexpr std::size_t kMaxRead = (std::size_t{8} << 20) + 1;

std::string errno_text(int number) {
  std::string text = std::strerror(number);
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return text;
}

class File {
 public:
  explicit File(const std::string& path) : path_(path) {
    descriptor_ = open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (descriptor_ < 0)
      throw ConfigError("opening config file: open " + path + ": " + errno_text(errno));
  }
  ~File() { ::close(descriptor_); }
  File(const File&) = delete;

  std::string read() const {
    std::string out;
    char part[65536];
    while (out.size() < kMaxRead) {
      const ssize_t got = read_file_part(descriptor_, part, sizeof part);
      if (got == 0) break;
      if (got < 0) {
        throw ConfigError("parsing config: yaml: input error: read " + path_ + ": " +
                          errno_text(errno));
      }
      out.append(part, static_cast<std::size_t>(got));
    }
    return out;
  }

 private:
  const std::string& path_;
  int descriptor_ = -1;
};

/// A duration is read as text first; its faults are reported at once and without a line.
void read_duration(BlockReader& block, std::string_view key, Duration& out) {
  std::string text;
  if (!block.scalar(key, text) || text.empty()) return;
  try {
    out = parse_duration(text);
  } catch (const ConfigError& error) {
    throw ConfigError("parsing config: " + error.text());
  }
}

void zero_is(std::int64_t& value, std::int64_t otherwise) {
  if (value == 0) value = otherwise;
}
void zero_is(Duration& value, Duration otherwise) {
  if (value == Duration::zero()) value = otherwise;
}
void empty_is(std::string& value, const std::string& otherwise) {
  if (value.empty()) value = otherwise;
}

/// Fills a Config from the blocks of a file. What a file leaves out keeps the default.
class FileReader {
 public:
  FileReader(const std::shared_ptr<const YamlNode>& root, Config& config)
      : config_(config), context_{&errors_, UnknownKeys::are_errors, nullptr, config.path} {
    BlockReader top(root.get(), "config.Config", "", context_);
    read_dns(top);
    read_proxy(top);
    read_tls(top);
    read_transforms(top);
    read_small_blocks(top);
    top.text("hardening", config_.hardening);
    const bool mcp = top.any("mcp") != nullptr;
    const bool postgres = top.any("postgres") != nullptr;
    top.finish();
    if (!errors_.empty()) throw ConfigError("parsing config: " + errors_.text());
    if (mcp) throw ConfigError("mcp is not supported by this build");
    if (postgres) throw ConfigError("postgres is not supported by this build");
  }

 private:
  void read_dns(BlockReader& top) {
    const auto node = top.block("dns");
    BlockReader block(node.get(), "config.DNS", "dns", context_);
    block.text("listen", config_.dns.listen);
    block.boolean("enabled", config_.dns.enabled);
    block.text("proxy_ip", config_.dns.proxy_ip);
    block.text("upstream_resolver", config_.dns.upstream_resolver);
    block.texts("passthrough", config_.dns.passthrough);
    for (const auto& entry : block.blocks("records", "[]config.DNSRecord")) {
      BlockReader record(entry.get(), "config.DNSRecord", "dns.records", context_);
      DnsRecord& out = config_.dns.records.emplace_back();
      record.text("name", out.name);
      record.text("type", out.type);
      record.text("value", out.value);
      record.finish();
    }
    block.finish();
  }

  void read_proxy(BlockReader& top) {
    Config::Proxy& proxy = config_.proxy;
    const auto node = top.block("proxy");
    BlockReader block(node.get(), "config.Proxy", "proxy", context_);
    block.text("http_listen", proxy.http_listen);
    block.text("https_listen", proxy.https_listen);
    block.text("tunnel_listen", proxy.tunnel_listen);
    block.texts("http_listens", proxy.http_listens);
    block.texts("tunnel_listens", proxy.tunnel_listens);
    block.integer("max_request_body_bytes", proxy.max_request_body_bytes);
    block.integer("max_response_body_bytes", proxy.max_response_body_bytes);
    read_duration(block, "upstream_response_header_timeout",
                  proxy.upstream_response_header_timeout);
    block.texts("upstream_deny_cidrs", proxy.upstream_deny_cidrs);
    read_duration(block, "drain_timeout", proxy.drain_timeout);
    read_limits(block);
    read_passthrough(block);
    block.boolean("explain_denials", proxy.explain_denials);
    block.boolean("pin_tunnel_target", proxy.pin_tunnel_target);
    block.boolean("strict_paths", proxy.strict_paths);
    block.boolean("deny_special_addresses", proxy.deny_special_addresses);
    block.finish();
  }

  void read_passthrough(BlockReader& proxy) {
    for (const auto& entry : proxy.blocks("passthrough", "[]config.Passthrough")) {
      BlockReader block(entry.get(), "config.Passthrough", "proxy.passthrough", context_);
      PassThroughEntry& out = config_.proxy.passthrough.emplace_back();
      out.line = block.line();
      out.host_line = block.line_of("host");
      out.cidr_line = block.line_of("cidr");
      out.ports_line = block.line_of("ports");
      block.text("host", out.host);
      block.text("cidr", out.cidr);
      block.integers("ports", out.ports, out.port_lines);
      block.finish();
    }
  }

  void read_limits(BlockReader& proxy) {
    Limits& limits = config_.proxy.limits;
    const auto node = proxy.block("limits");
    BlockReader block(node.get(), "config.Limits", "proxy.limits", context_);
    block.integer("max_connections", limits.max_connections, "int");
    block.integer("max_connections_per_client", limits.max_connections_per_client, "int");
    block.integer("connect_head_bytes", limits.connect_head_bytes, "int");
    block.integer("request_head_bytes", limits.request_head_bytes, "int");
    block.integer("request_head_fields", limits.request_head_fields, "int");
    read_duration(block, "first_byte_timeout", limits.first_byte_timeout);
    read_duration(block, "handshake_timeout", limits.handshake_timeout);
    read_duration(block, "request_head_timeout", limits.request_head_timeout);
    read_duration(block, "idle_timeout", limits.idle_timeout);
    read_duration(block, "stall_timeout", limits.stall_timeout);
    read_duration(block, "quiet_timeout", limits.quiet_timeout);
    block.integer("body_budget_bytes", limits.body_budget_bytes, "int");
    block.finish();
  }

  void read_tls(BlockReader& top) {
    const auto node = top.block("tls");
    BlockReader block(node.get(), "config.TLS", "tls", context_);
    block.text("mode", config_.tls.mode);
    block.text("ca_cert", config_.tls.ca_cert);
    block.text("ca_key", config_.tls.ca_key);
    block.integer("cert_cache_size", config_.tls.cert_cache_size, "int");
    block.integer("leaf_cert_expiry_hours", config_.tls.leaf_cert_expiry_hours, "int");
    block.text("leaf_signer", config_.tls.leaf_signer);
    block.finish();
  }

  void read_transforms(BlockReader& top) {
    for (const auto& entry : top.blocks("transforms", "[]config.Transform")) {
      BlockReader block(entry.get(), "config.Transform", "transforms", context_);
      TransformConfig& out = config_.transforms.emplace_back();
      block.text("name", out.name);
      out.config = block.any("config");
      block.finish();
    }
  }

  void read_small_blocks(BlockReader& top) {
    const auto metrics_node = top.block("metrics");
    BlockReader metrics(metrics_node.get(), "config.Metrics", "metrics", context_);
    metrics.text("listen", config_.metrics.listen);
    metrics.finish();

    const auto management_node = top.block("management");
    BlockReader management(management_node.get(), "config.Management", "management", context_);
    management.text("listen", config_.management.listen);
    management.text("api_key_env", config_.management.api_key_env);
    management.finish();

    const auto log_node = top.block("log");
    BlockReader log(log_node.get(), "config.Log", "log", context_);
    log.text("level", config_.log.level);
    log.text("audit_path", config_.log.audit_path);
    log.integer("buffer_bytes", config_.log.buffer_bytes, "int");
    log.text("when_full", config_.log.when_full);
    log.finish();
  }

  Config& config_;
  YamlErrors errors_;
  BlockReader::Context context_;
};

/// The value of a variable; none if it is unset or empty.
std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

void override_text(const char* name, std::string& out) {
  if (auto value = variable(name)) out = std::move(*value);
}

void override_boolean(const char* name, bool& out) {
  const auto value = variable(name);
  if (!value) return;
  for (const char* yes : {"1", "t", "T", "TRUE", "true", "True"})
    if (*value == yes) {
      out = true;
      return;
    }
  for (const char* no : {"0", "f", "F", "FALSE", "false", "False"})
    if (*value == no) {
      out = false;
      return;
    }
  throw ConfigError(std::string(name) + ": strconv.ParseBool: parsing " + quoted(*value) +
                    ": invalid syntax");
}

/// `function` is the name that scripts know from the error text.
void override_integer(const char* name, const char* function, std::int64_t& out) {
  const auto value = variable(name);
  if (!value) return;
  const auto fail = [&](const char* why) {
    throw ConfigError(std::string(name) + ": strconv." + function + ": parsing " + quoted(*value) +
                      ": " + why);
  };
  std::string_view text = *value;
  if (text[0] == '+') text.remove_prefix(1);
  if (text.empty() || (text.size() < value->size() && text[0] == '-')) fail("invalid syntax");
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, out);
  if (result.ec == std::errc::invalid_argument || result.ptr != end) fail("invalid syntax");
  if (result.ec == std::errc::result_out_of_range) fail("value out of range");
}

void override_duration(const char* name, Duration& out) {
  const auto value = variable(name);
  if (!value) return;
  try {
    out = parse_duration(*value);
  } catch (const ConfigError& error) {
    throw ConfigError(std::string(name) + ": " + error.text());
  }
}

/// A comma list; faults are those of the key, under the variable's name.
void override_prefixes(const char* name, std::vector<std::string>& out) {
  constexpr std::string_view kKey = "proxy.upstream_deny_cidrs";
  constexpr std::string_view kBlanks = " \t\n\v\f\r";
  const auto value = variable(name);
  if (!value) return;
  std::vector<std::string> entries;
  for (std::size_t begin = 0; begin <= value->size();) {
    const std::size_t end = std::min(value->find(',', begin), value->size());
    std::string_view entry = std::string_view(*value).substr(begin, end - begin);
    entry.remove_prefix(std::min(entry.find_first_not_of(kBlanks), entry.size()));
    entry = entry.substr(0, entry.find_last_not_of(kBlanks) + 1);
    entries.emplace_back(entry);
    begin = end + 1;
  }
  try {
    static_cast<void>(DenyList(entries));
  } catch (const ConfigError& error) {
    throw ConfigError(name + error.text().substr(kKey.size()));
  }
  out = std::move(entries);
}

/// In the order that decides which of several faults is reported.
void apply_environment(Config& config) {
  override_boolean("IRON_DNS_ENABLED", config.dns.enabled);
  override_integer("IRON_PROXY_MAX_REQUEST_BODY_BYTES", "ParseInt",
                   config.proxy.max_request_body_bytes);
  override_integer("IRON_PROXY_MAX_RESPONSE_BODY_BYTES", "ParseInt",
                   config.proxy.max_response_body_bytes);
  override_integer("IRON_TLS_CERT_CACHE_SIZE", "Atoi", config.tls.cert_cache_size);
  override_integer("IRON_TLS_LEAF_CERT_EXPIRY_HOURS", "Atoi", config.tls.leaf_cert_expiry_hours);
  override_duration("IRON_PROXY_UPSTREAM_RESPONSE_HEADER_TIMEOUT",
                    config.proxy.upstream_response_header_timeout);
  override_prefixes("IRON_PROXY_UPSTREAM_DENY_CIDRS", config.proxy.upstream_deny_cidrs);
  override_text("IRON_DNS_LISTEN", config.dns.listen);
  override_text("IRON_DNS_PROXY_IP", config.dns.proxy_ip);
  override_text("IRON_DNS_UPSTREAM_RESOLVER", config.dns.upstream_resolver);
  override_text("IRON_PROXY_HTTP_LISTEN", config.proxy.http_listen);
  override_text("IRON_PROXY_HTTPS_LISTEN", config.proxy.https_listen);
  override_text("IRON_PROXY_TUNNEL_LISTEN", config.proxy.tunnel_listen);
  override_text("IRON_TLS_MODE", config.tls.mode);
  override_text("IRON_TLS_CA_CERT", config.tls.ca_cert);
  override_text("IRON_TLS_CA_KEY", config.tls.ca_key);
  override_text("IRON_METRICS_LISTEN", config.metrics.listen);
  override_text("IRON_MANAGEMENT_LISTEN", config.management.listen);
  override_text("IRON_LOG_LEVEL", config.log.level);
}

/// Zero and empty text mean the default, except where zero has a meaning of its own.
void apply_defaults(Config& config) {
  const Config standard;
  empty_is(config.dns.listen, standard.dns.listen);
  empty_is(config.proxy.http_listen, standard.proxy.http_listen);
  empty_is(config.proxy.https_listen, standard.proxy.https_listen);
  zero_is(config.proxy.max_request_body_bytes, standard.proxy.max_request_body_bytes);
  zero_is(config.proxy.upstream_response_header_timeout,
          standard.proxy.upstream_response_header_timeout);
  Limits& limits = config.proxy.limits;
  zero_is(limits.max_connections, standard.proxy.limits.max_connections);
  zero_is(limits.connect_head_bytes, standard.proxy.limits.connect_head_bytes);
  zero_is(limits.request_head_bytes, standard.proxy.limits.request_head_bytes);
  zero_is(limits.request_head_fields, standard.proxy.limits.request_head_fields);
  zero_is(limits.first_byte_timeout, standard.proxy.limits.first_byte_timeout);
  zero_is(limits.handshake_timeout, standard.proxy.limits.handshake_timeout);
  zero_is(limits.request_head_timeout, standard.proxy.limits.request_head_timeout);
  zero_is(limits.idle_timeout, standard.proxy.limits.idle_timeout);
  zero_is(limits.stall_timeout, standard.proxy.limits.stall_timeout);
  zero_is(limits.quiet_timeout, standard.proxy.limits.quiet_timeout);
  zero_is(limits.body_budget_bytes, standard.proxy.limits.body_budget_bytes);
  empty_is(config.tls.mode, standard.tls.mode);
  zero_is(config.tls.cert_cache_size, standard.tls.cert_cache_size);
  zero_is(config.tls.leaf_cert_expiry_hours, standard.tls.leaf_cert_expiry_hours);
  empty_is(config.tls.leaf_signer, standard.tls.leaf_signer);
  empty_is(config.metrics.listen, standard.metrics.listen);
  if (!config.management.listen.empty())
    empty_is(config.management.api_key_env, "IRON_MANAGEMENT_API_KEY");
  empty_is(config.log.level, standard.log.level);
  zero_is(config.log.buffer_bytes, standard.log.buffer_bytes);
  empty_is(config.log.when_full, standard.log.when_full);
  empty_is(config.hardening, standard.hardening);
}

}  // namespace

Config load_config(const std::string& path) {
  Config config;
  config.path = path;
  config.proxy.upstream_deny_cidrs = {"169.254.169.254/32", "fd00:ec2::254/128", "127.0.0.0/8",
                                      "::1/128"};
  if (path.starts_with("s3://")) throw ConfigError(path + " is not supported by this build");
  if (!path.empty()) {
    const std::string bytes = File(path).read();
    FileReader(parse_yaml(bytes), config);
  }
  apply_environment(config);
  apply_defaults(config);
  return config;
}

}  // namespace iron::policy
