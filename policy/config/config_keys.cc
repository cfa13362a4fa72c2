#include "policy/config/config_keys.h"

#include <algorithm>

#include "policy/config/log_levels.h"
#include "policy/match/deny_list.h"
#include "policy/quote.h"

namespace iron::policy {
namespace {

using UpstreamProxy = Config::Proxy::UpstreamProxy;

template <auto... Path>
constexpr auto at = +[](Config& config) -> auto& { return (config.*....*Path); };

constexpr std::string_view kModes[] = {"mitm", "sni-only"};
constexpr std::string_view kLeafSigners[] = {"auto", "ca"};
constexpr std::string_view kWhenFull[] = {"wait", "drop"};
constexpr std::string_view kHardening[] = {"auto", "off"};

constexpr ConfigKey kKeys[] = {
    {.path = "dns", .error_type = "config.DNS"},
    {.path = "dns.listen",
     .member = at<&Config::dns, &Config::Dns::listen>,
     .environment = "IRON_DNS_LISTEN",
     .form = "address",
     .meaning = "UDP and TCP"},
    {.path = "dns.enabled",
     .member = at<&Config::dns, &Config::Dns::enabled>,
     .environment = "IRON_DNS_ENABLED",
     .meaning = "`false`: no name server, `dns.proxy_ip` is not needed"},
    {.path = "dns.proxy_ip",
     .member = at<&Config::dns, &Config::Dns::proxy_ip>,
     .environment = "IRON_DNS_PROXY_IP",
     .form = "IPv4",
     .default_words = "required",
     .meaning = "what every name resolves to for sandboxes"},
    {.path = "dns.upstream_resolver",
     .member = at<&Config::dns, &Config::Dns::upstream_resolver>,
     .environment = "IRON_DNS_UPSTREAM_RESOLVER",
     .form = "`host:port`",
     .default_words = "the system's",
     .meaning = "for origins and `passthrough`"},
    {.path = "dns.passthrough",
     .member = at<&Config::dns, &Config::Dns::passthrough>,
     .meaning = "host patterns that are really resolved"},
    {.path = "dns.records",
     .member = at<&Config::dns, &Config::Dns::records>,
     .form = "list of `name`, `type`, `value`",
     .meaning = "static `A` and `CNAME` records"},
    {.path = "proxy", .error_type = "config.Proxy"},
    {.path = "proxy.http_listen",
     .member = at<&Config::proxy, &Config::Proxy::http_listen>,
     .environment = "IRON_PROXY_HTTP_LISTEN",
     .form = "address",
     .meaning = "plain requests and CONNECT"},
    {.path = "proxy.http_listens",
     .member = at<&Config::proxy, &Config::Proxy::http_listens>,
     .form = "list of addresses",
     .meaning = "further ones; one equal to the single key's is bound once"},
    {.path = "proxy.https_listen",
     .member = at<&Config::proxy, &Config::Proxy::https_listen>,
     .environment = "IRON_PROXY_HTTPS_LISTEN",
     .form = "address",
     .meaning = "direct TLS"},
    {.path = "proxy.tunnel_listen",
     .member = at<&Config::proxy, &Config::Proxy::tunnel_listen>,
     .environment = "IRON_PROXY_TUNNEL_LISTEN",
     .form = "address",
     .default_words = "off",
     .meaning = "CONNECT, absolute-form requests, SOCKS5"},
    {.path = "proxy.tunnel_listens",
     .member = at<&Config::proxy, &Config::Proxy::tunnel_listens>,
     .form = "list of addresses",
     .meaning = "further ones; one equal to the single key's is bound once"},
    {.path = "proxy.max_request_body_bytes",
     .member = at<&Config::proxy, &Config::Proxy::max_request_body_bytes>,
     .error_type = "int64",
     .environment = "IRON_PROXY_MAX_REQUEST_BODY_BYTES",
     .reload = Reload::applied,
     .meaning = "limit of a body that a transform reads whole; beyond it 413. Negative: none"},
    {.path = "proxy.max_response_body_bytes",
     .member = at<&Config::proxy, &Config::Proxy::max_response_body_bytes>,
     .error_type = "int64",
     .environment = "IRON_PROXY_MAX_RESPONSE_BODY_BYTES",
     .reload = Reload::applied,
     .default_words = "0 (none)",
     .meaning =
         "limit of an answer's body that a transform reads whole; beyond it 502. No transform of "
         "this build does, so it has no effect: answers stream, whatever their size"},
    {.path = "proxy.upstream_response_header_timeout",
     .member = at<&Config::proxy, &Config::Proxy::upstream_response_header_timeout>,
     .environment = "IRON_PROXY_UPSTREAM_RESPONSE_HEADER_TIMEOUT",
     .check = Check::positive,
     .reload = Reload::applied,
     .meaning = "from the end of the request to the head of the answer; see \"Slow answers\""},
    {.path = "proxy.upstream_deny_cidrs",
     .member = at<&Config::proxy, &Config::Proxy::upstream_deny_cidrs>,
     .environment = "IRON_PROXY_UPSTREAM_DENY_CIDRS",
     .check = Check::prefixes,
     .reload = Reload::applied,
     .form = "list of CIDR",
     .meaning = "addresses that are never connected to; `[]`: none. The variable separates them "
                "with commas"},
    {.path = "proxy.drain_timeout",
     .member = at<&Config::proxy, &Config::Proxy::drain_timeout>,
     .check = Check::not_negative,
     .zero_counts = true,
     .meaning = "how long requests in flight may finish after SIGTERM; 0 cuts at once"},
    {.path = "proxy.limits", .error_type = "config.Limits", .meaning = "see below"},
    {.path = "proxy.limits.max_connections",
     .member = at<&Config::proxy, &Config::Proxy::limits, &Limits::max_connections>,
     .check = Check::positive,
     .meaning = "in all; beyond it 503 on `http_listen`, else close"},
    {.path = "proxy.limits.max_connections_per_client",
     .member = at<&Config::proxy, &Config::Proxy::limits, &Limits::max_connections_per_client>,
     .check = Check::not_negative,
     .default_words = "0 (off)",
     .meaning = "the same per client address"},
    {.path = "proxy.limits.connect_head_bytes",
     .member = at<&Config::proxy, &Config::Proxy::limits, &Limits::connect_head_bytes>,
     .check = Check::positive,
     .meaning = "CONNECT head, SOCKS greeting and request"},
    {.path = "proxy.limits.request_head_bytes",
     .member = at<&Config::proxy, &Config::Proxy::limits, &Limits::request_head_bytes>,
     .check = Check::positive,
     .meaning = "request line and fields; a request line alone 65536"},
    {.path = "proxy.limits.request_head_fields",
     .member = at<&Config::proxy, &Config::Proxy::limits, &Limits::request_head_fields>,
     .check = Check::positive,
     .meaning = "field lines"},
    {.path = "proxy.limits.first_byte_timeout",
     .member = at<&Config::proxy, &Config::Proxy::limits, &Limits::first_byte_timeout>,
     .check = Check::positive,
     .meaning = "silence after accept, and after the 200 of a tunnel"},
    {.path = "proxy.limits.handshake_timeout",
     .member = at<&Config::proxy, &Config::Proxy::limits, &Limits::handshake_timeout>,
     .check = Check::positive,
     .meaning = "each of CONNECT head, SOCKS exchange, TLS handshake, from its first byte"},
    {.path = "proxy.limits.request_head_timeout",
     .member = at<&Config::proxy, &Config::Proxy::limits, &Limits::request_head_timeout>,
     .check = Check::positive,
     .meaning = "request head, from its first byte"},
    {.path = "proxy.limits.idle_timeout",
     .member = at<&Config::proxy, &Config::Proxy::limits, &Limits::idle_timeout>,
     .check = Check::positive,
     .meaning = "between requests"},
    {.path = "proxy.limits.stall_timeout",
     .member = at<&Config::proxy, &Config::Proxy::limits, &Limits::stall_timeout>,
     .check = Check::positive,
     .meaning = "a peer that does not take what is there for it; a client whose body a transform "
                "reads whole and that sends no more of it"},
    {.path = "proxy.limits.quiet_timeout",
     .member = at<&Config::proxy, &Config::Proxy::limits, &Limits::quiet_timeout>,
     .check = Check::positive,
     .meaning = "no byte in either direction of a request under way; WebSockets, event streams "
                "(`text/event-stream`) and gRPC are exempt"},
    {.path = "proxy.limits.body_budget_bytes",
     .member = at<&Config::proxy, &Config::Proxy::limits, &Limits::body_budget_bytes>,
     .check = Check::positive,
     .meaning = "all bodies held in memory together"},
    {.path = "proxy.passthrough",
     .member = at<&Config::proxy, &Config::Proxy::passthrough>,
     .reload = Reload::applied,
     .form = "list of `host` or `cidr`, and `ports`",
     .meaning = "targets that are relayed without a look inside; `ports`: list of int, default "
                "`[443]`; [policy.md](policy.md), \"Pass-through\""},
    {.path = "proxy.explain_denials",
     .member = at<&Config::proxy, &Config::Proxy::explain_denials>,
     .reload = Reload::applied,
     .meaning = "answers of the proxy itself carry `X-Iron-Proxy-Reason: <transform>: <reason>`"},
    {.path = "proxy.pin_tunnel_target",
     .member = at<&Config::proxy, &Config::Proxy::pin_tunnel_target>,
     .reload = Reload::applied,
     .meaning = "a request inside a tunnel must be for the tunnel's host and port, else 403"},
    {.path = "proxy.strict_paths",
     .member = at<&Config::proxy, &Config::Proxy::strict_paths>,
     .reload = Reload::applied,
     .meaning = "also 400 where a segment is a plain `.`, or `.` or `..` once its `;` parameters "
                "are cut off; 502 where a key makes it one"},
    {.path = "proxy.deny_special_addresses",
     .member = at<&Config::proxy, &Config::Proxy::deny_special_addresses>,
     .reload = Reload::applied,
     .meaning = "adds what the IANA registries do not call globally reachable, and known metadata "
                "addresses, to the deny list"},
    {.path = "proxy.upstream_proxy",
     .error_type = "config.UpstreamProxy",
     .reload = Reload::applied,
     .meaning = "parent proxies; see below",
     .present = at<&Config::proxy, &Config::Proxy::upstream_proxy, &UpstreamProxy::present>},
    {.path = "proxy.upstream_proxy.http_proxy",
     .member = at<&Config::proxy, &Config::Proxy::upstream_proxy, &UpstreamProxy::http_proxy>,
     .reload = Reload::applied,
     .default_words = "none",
     .meaning = "parent for `http://` and `ws://` targets"},
    {.path = "proxy.upstream_proxy.https_proxy",
     .member = at<&Config::proxy, &Config::Proxy::upstream_proxy, &UpstreamProxy::https_proxy>,
     .reload = Reload::applied,
     .default_words = "none",
     .meaning = "parent for `https://` and `wss://` targets, sni-only sessions and pass-through"},
    {.path = "proxy.upstream_proxy.no_proxy",
     .member = at<&Config::proxy, &Config::Proxy::upstream_proxy, &UpstreamProxy::no_proxy>,
     .reload = Reload::applied,
     .form = "comma list",
     .meaning = "targets that are reached directly"},
    {.path = "tls", .error_type = "config.TLS"},
    {.path = "tls.mode",
     .member = at<&Config::tls, &Config::Tls::mode>,
     .environment = "IRON_TLS_MODE",
     .check = Check::one_of,
     .allowed = kModes,
     .meaning = "open TLS, or pass it through judged by its SNI"},
    {.path = "tls.ca_cert",
     .member = at<&Config::tls, &Config::Tls::ca_cert>,
     .environment = "IRON_TLS_CA_CERT",
     .reload = Reload::with_ca,
     .form = "path",
     .default_words = "required in mitm",
     .meaning = "certificate of the CA that signs leaves"},
    {.path = "tls.ca_key",
     .member = at<&Config::tls, &Config::Tls::ca_key>,
     .environment = "IRON_TLS_CA_KEY",
     .reload = Reload::with_ca,
     .form = "path",
     .default_words = "required in mitm",
     .meaning = "its key"},
    {.path = "tls.cert_cache_size",
     .member = at<&Config::tls, &Config::Tls::cert_cache_size>,
     .environment = "IRON_TLS_CERT_CACHE_SIZE",
     .meaning = "leaves kept; negative: all"},
    {.path = "tls.leaf_cert_expiry_hours",
     .member = at<&Config::tls, &Config::Tls::leaf_cert_expiry_hours>,
     .environment = "IRON_TLS_LEAF_CERT_EXPIRY_HOURS",
     .meaning = "validity of a leaf"},
    {.path = "tls.leaf_signer",
     .member = at<&Config::tls, &Config::Tls::leaf_signer>,
     .check = Check::one_of,
     .allowed = kLeafSigners,
     .reload = Reload::with_ca,
     .meaning = "`auto`: under an RSA CA that allows it, a short-lived P-256 intermediate signs "
                "the leaves"},
    {.path = "transforms",
     .member = at<&Config::transforms>,
     .reload = Reload::with_transforms,
     .form = "list of `name`, `config`",
     .default_words = "empty: everything is allowed",
     .meaning = "run in this order; [policy.md](policy.md), [secrets.md](secrets.md), "
                "[transforms.md](transforms.md)"},
    {.path = "metrics", .error_type = "config.Metrics"},
    {.path = "metrics.listen",
     .member = at<&Config::metrics, &Config::Metrics::listen>,
     .environment = "IRON_METRICS_LISTEN",
     .form = "address",
     .meaning = "`/healthz`"},
    {.path = "management", .error_type = "config.Management"},
    {.path = "management.listen",
     .member = at<&Config::management, &Config::Management::listen>,
     .environment = "IRON_MANAGEMENT_LISTEN",
     .form = "address",
     .default_words = "off",
     .meaning = "`POST /v1/reload`"},
    {.path = "management.api_key_env",
     .member = at<&Config::management, &Config::Management::api_key_env>,
     .form = "name",
     .default_words = "`IRON_MANAGEMENT_API_KEY`",
     .meaning = "variable with the bearer key"},
    {.path = "log", .error_type = "config.Log"},
    {.path = "log.level",
     .member = at<&Config::log, &Config::Log::level>,
     .environment = "IRON_LOG_LEVEL",
     .check = Check::log_level,
     .allowed = kLogLevels,
     .meaning = "the least level that is written"},
    {.path = "log.audit_path",
     .member = at<&Config::log, &Config::Log::audit_path>,
     .reload = Reload::applied,
     .form = "path",
     .default_words = "off",
     .meaning = "request records go there; opened again at every reload"},
    {.path = "log.buffer_bytes",
     .member = at<&Config::log, &Config::Log::buffer_bytes>,
     .check = Check::positive,
     .meaning = "records held while the reader is slow"},
    {.path = "log.when_full",
     .member = at<&Config::log, &Config::Log::when_full>,
     .check = Check::one_of,
     .allowed = kWhenFull,
     .meaning = "[records.md](records.md), \"Buffering\""},
    {.path = "hardening",
     .member = at<&Config::hardening>,
     .check = Check::one_of,
     .allowed = kHardening,
     .meaning = "confine the process after the start, as far as the kernel allows; INFO "
                "`hardening` says what was applied ([security.md](security.md), \"Confinement\")"},
};

std::string shown(std::int64_t value) { return std::to_string(value); }
std::string shown(Duration value) { return format_duration(value); }

template <class Value>
void check_bound(const ConfigKey& key, Value value) {
  const bool positive = key.check == Check::positive;
  const bool fits = positive ? value > Value{} : key.check == Check::none || value >= Value{};
  if (fits) return;
  throw ConfigError(std::string(key.path) + " must " +
                    (positive ? "be positive" : "not be negative") + "; got " + shown(value));
}

void check_value(const ConfigKey& key, std::int64_t value) { check_bound(key, value); }
void check_value(const ConfigKey& key, Duration value) { check_bound(key, value); }

void check_value(const ConfigKey& key, const std::string& value) {
  const auto& allowed = key.allowed;
  if (key.check != Check::one_of || std::ranges::find(allowed, value) != allowed.end()) return;
  std::string text = std::string(key.path) + " must be ";
  for (const std::string_view& word : allowed) {
    if (&word != &allowed.front()) text += &word == &allowed.back() ? " or " : ", ";
    text += quoted(word);
  }
  throw ConfigError(text + "; got " + quoted(value));
}

void check_value(const ConfigKey& key, const std::vector<std::string>& value) {
  if (key.check == Check::prefixes) check_prefixes(key.path, value);
}

/// Of the other types no value is a fault by itself.
template <class Value>
void check_value(const ConfigKey&, const Value&) {}

}  // namespace

std::span<const ConfigKey> config_keys() { return kKeys; }

void check_prefixes(std::string_view name, const std::vector<std::string>& prefixes) {
  constexpr std::string_view kNamed = "proxy.upstream_deny_cidrs";
  try {
    static_cast<void>(DenyList(prefixes));
  } catch (const ConfigError& error) {
    throw ConfigError(std::string(name) + error.text().substr(kNamed.size()));
  }
}

Config standard_config() {
  Config config;
  config.proxy.upstream_deny_cidrs = {"169.254.169.254/32", "fd00:ec2::254/128", "127.0.0.0/8",
                                      "::1/128"};
  return config;
}

void check_keys(const Config& config, std::string_view path) {
  for (const ConfigKey& key : kKeys) {
    const bool below =
        key.path.starts_with(path) &&
        (path.empty() || key.path.size() == path.size() || key.path[path.size()] == '.');
    if (!below) continue;
    with_member(key, [&](const auto& value) { check_value(key, value); }, config);
  }
}

}  // namespace iron::policy
