#include "proxy/run/start_warnings.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/config/listen_address.h"
#include "policy/match/rules.h"

namespace iron::proxy {
namespace {

void warn(std::vector<policy::ConfigWarning>& warnings, std::string key, std::string reason) {
  policy::ConfigWarning warning;
  warning.message = "risky setting";
  warning.attributes = {{"key", std::move(key)}, {"reason", std::move(reason)}};
  warnings.push_back(std::move(warning));
}

/// The groups of this process. The system is asked once, at the start: confined, it may not be.
const std::vector<gid_t>& own_groups() {
  static const std::vector<gid_t> groups = [] {
    std::vector<gid_t> found(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
    const int count = ::getgroups(static_cast<int>(found.size()), found.data());
    found.resize(static_cast<std::size_t>(std::max(count, 0)));
    found.push_back(::getegid());
    return found;
  }();
  return groups;
}

bool is_own_group(gid_t group) {
  const std::vector<gid_t>& own = own_groups();
  return std::find(own.begin(), own.end(), group) != own.end();
}

void check_file(const std::string& path,
                const std::string& key,
                std::vector<policy::ConfigWarning>& warnings) {
  if (path.empty()) return;
  struct stat link{};
  struct stat file{};
  if (::lstat(path.c_str(), &link) != 0 || ::stat(path.c_str(), &file) != 0) return;
  const bool foreign_group = (file.st_mode & S_IRGRP) != 0 && !is_own_group(file.st_gid);
  if (foreign_group || (file.st_mode & S_IROTH) != 0) {
    warn(warnings, key, path + " can be read by other users; use chmod 600");
  }
  const bool foreign = link.st_uid != ::geteuid() && link.st_uid != 0;
  if (S_ISLNK(link.st_mode) && foreign) {
    warn(warnings, key, path + " is a link that belongs to another user");
  }
}

}  // namespace

void add_key_warnings(const policy::Config& config, std::vector<policy::ConfigWarning>& warnings) {
  if (!config.tls.sni_only()) check_file(config.tls.ca_key, "tls.ca_key", warnings);
}

void add_start_warnings(const policy::Config& config,
                        std::vector<policy::ConfigWarning>& warnings) {
  own_groups();
  add_key_warnings(config, warnings);
  check_file(config.path, "-config", warnings);
  const auto metrics = policy::split_host_port(config.metrics.listen);
  if (metrics.has_error()) return;
  if (metrics->host.empty() || metrics->host == "0.0.0.0" || metrics->host == "::") {
    warn(warnings, "metrics.listen", "listens on every address; sandboxes may reach it");
  }
}

void warn_of_unsupported_variables(Log& log) {
  constexpr std::string_view kPrefix = "IRON_RESPONSE_RETRY_";
  std::vector<std::string> names;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (!text.starts_with(kPrefix) || equals == text.npos || equals + 1 == text.size()) continue;
    names.emplace_back(text.substr(0, equals));
  }
  if (names.empty()) return;
  std::sort(names.begin(), names.end());
  log.write(Level::warn, "not supported, ignored",
            {{"names", std::span<const std::string>(names)}});
}

void add_pass_through_warnings(const policy::Config& config,
                               std::vector<policy::ConfigWarning>& warnings) {
  const auto& entries = config.proxy.passthrough;
  if (config.tls.sni_only() && !entries.empty()) {
    warnings.push_back({"proxy.passthrough is ignored when tls.mode=sni-only", {}});
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const policy::PassThroughEntry& entry = entries[i];
    if (entry.host.empty() || !policy::HostPattern(entry.host).useless()) continue;
    const std::string key = "proxy.passthrough[" + std::to_string(i) + "].host";
    warnings.push_back(policy::never_matches(config.path, entry.host_line, key, entry.host));
  }
}

void add_parent_warnings(const ParentProxy& parents, std::vector<policy::ConfigWarning>& warnings) {
  for (const std::string& key : parents.unusable()) {
    warnings.push_back({"upstream proxy not usable", {{"key", key}}});
  }
}

void tell_of_ignored_proxies(Log& log) {
  const std::vector<std::string> names = proxy_environment();
  if (names.empty()) return;
  log.write(Level::info, "proxy environment ignored for proxied traffic",
            {{"variables", std::span<const std::string>(names)}});
}

}  // namespace iron::proxy
