#include "proxy/guard/hardening.h"

#include <dlfcn.h>
#include <openssl/ssl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "policy/config/listen_address.h"
#include "policy/match/ip_address.h"
#include "policy/secret/secret.h"
#include "proxy/dns/resolv_conf.h"
#include "proxy/guard/capabilities.h"
#include "proxy/guard/seccomp.h"
#include "proxy/log/log.h"
#include "tls/trust.h"

namespace iron::proxy {
namespace {

using Use = FileGrant::Use;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define IRON_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IRON_SANITIZED 1
#endif
#ifdef IRON_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr const char* kNsswitch = "/etc/nsswitch.conf";
constexpr const char* kForLookups[] = {"/etc/resolv.conf", "/etc/hosts",    kNsswitch,
                                       "/etc/host.conf",   "/etc/gai.conf", "/etc/services"};
constexpr const char* kFollowedByLookups[] = {"/etc/resolv.conf", "/etc/hosts", kNsswitch};
constexpr const char* kForTheClock[] = {"/etc/localtime", "/usr/share/zoneinfo"};

std::string directory_of(const std::filesystem::path& path) {
  const auto parent = path.parent_path();
  return parent.empty() ? "." : parent.string();
}

bool is_root_directory(const std::string& path) {
  std::error_code error;
  return std::filesystem::canonical(path, error) == "/";
}

/// The file and the directory it is in. Links may lead elsewhere: where they end counts too.
void add_with_directory(std::vector<FileGrant>& grants, const std::string& path) {
  if (path.empty()) return;
  std::error_code error;
  const auto target = std::filesystem::canonical(path, error);
  for (const std::string& directory : {directory_of(path), error ? "" : directory_of(target)}) {
    // Everything would be too much; then a reload sees the file it began with.
    if (!directory.empty() && !is_root_directory(directory)) {
      grants.push_back({directory, Use::read});
    }
  }
  grants.push_back({path, Use::read});
}

void add_audit_file(std::vector<FileGrant>& grants, const std::string& path) {
  if (path.empty()) return;
  grants.push_back({path, Use::append});
  struct stat info{};
  // Nobody rotates a device or a pipe, and the directory of devices is no place to write in.
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) return;
  const std::string directory = directory_of(path);
  if (!is_root_directory(directory)) grants.push_back({directory, Use::append});
}

/// Files of /etc that are links, as resolv.conf often is, are replaced where they really are.
void add_system_file(std::vector<FileGrant>& grants, const char* path) {
  grants.push_back({path, Use::read});
  std::error_code error;
  const auto target = std::filesystem::canonical(path, error);
  if (error || target.parent_path() == "/etc") return;
  if (std::filesystem::is_directory(target, error)) return;
  grants.push_back({directory_of(target), Use::read});
}

Result<void> forbid_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) return {};
  return fail(std::generic_category().message(errno));
}

int number_of_threads() {
  struct stat info{};
  if (::stat("/proc/self/task", &info) != 0) return 1;
  return static_cast<int>(info.st_nlink) - 2;
}

const char* memory_name() {
  switch (secret_memory()) {
    case SecretMemory::memfd_secret:
      return "memfd_secret";
    case SecretMemory::locked_pages:
      return "locked_pages";
    case SecretMemory::plain_pages:
      break;
  }
  return "plain_pages";
}

}  // namespace

std::vector<FileGrant> files_in_use(const policy::Config& config) {
  std::vector<FileGrant> grants;
  add_with_directory(grants, config.path);
  if (!config.tls.sni_only()) {
    add_with_directory(grants, config.tls.ca_cert);
    add_with_directory(grants, config.tls.ca_key);
  }
  for (std::string& path : tls::trust_paths()) grants.push_back({std::move(path), Use::read});
  for (const char* path : kForLookups) add_system_file(grants, path);
  for (const char* path : kForTheClock) grants.push_back({path, Use::read});
  add_audit_file(grants, config.log.audit_path);
  return grants;
}

std::vector<FileGrant> files_to_follow(const policy::Config& config) {
  std::vector<FileGrant> files;
  const auto add = [&files](const std::string& path, Use use) {
    if (!path.empty()) files.push_back({path, use});
  };
  for (const char* path : kFollowedByLookups) add(path, Use::read);
  add(config.path, Use::read);
  if (!config.tls.sni_only()) {
    add(config.tls.ca_cert, Use::read);
    add(config.tls.ca_key, Use::read);
  }
  add(config.log.audit_path, Use::append);
  return files;
}

Hardening::Hardening(const policy::Config& config,
                     const std::vector<std::string>& files,
                     bool calls_out)
    : wanted_(config.hardening == "auto"),
      calls_out_(calls_out),
      resolver_(config.dns.upstream_resolver) {
  if (!wanted_ || kSanitized) return;
  grants_ = files_in_use(config);
  for (const std::string& path : files) add_with_directory(grants_, path);
}

bool Hardening::may_read(const std::string& path) const {
  if (!files_confined_) return true;
  std::error_code error;
  const auto wanted = std::filesystem::absolute(path, error).lexically_normal();
  return std::ranges::any_of(grants_, [&](const FileGrant& grant) {
    const auto granted = std::filesystem::absolute(grant.path, error).lexically_normal();
    const auto [end, rest] =
        std::mismatch(granted.begin(), granted.end(), wanted.begin(), wanted.end());
    // A directory's path may end with a slash, which is an empty last part.
    return end == granted.end() || (end->empty() && std::next(end) == granted.end());
  });
}

bool Hardening::possible() { return !kSanitized; }

void Hardening::apply(const char* name, const Result<void>& outcome) {
  if (outcome.has_error()) {
    unavailable_.push_back(std::string(name) + ": " + outcome.error().text);
  } else {
    applied_.emplace_back(name);
  }
}

/// Whether the C library is asked for names: the configured name server needs it for its own alone.
bool Hardening::asks_c_library() const {
  if (resolver_.empty() || calls_out_) return true;
  const auto parts = policy::split_host_port(resolver_);
  return parts.has_value() && !parts->host.empty() && !policy::IpAddress::parse(parts->host);
}

/// The C library loads a module for each source of names at its first lookup, which cannot be done
/// any more once nothing may become executable. Loaded here they are found by their name.
void Hardening::prepare_lookups() {
  if (!asks_c_library()) return;
  std::ifstream file(kNsswitch);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  for (const std::string& source : dns::lookup_modules(text)) {
    local_sockets_ = true;
    ::dlopen(("libnss_" + source + ".so.2").c_str(), RTLD_NOW);
  }
}

void Hardening::confine_files() {
  if (!wanted_ || kSanitized) return;
  prepare_lookups();
  // Its configuration file and the modules that this names.
  ::OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, nullptr);
  const int threads = number_of_threads();

  const Result<std::string> kept = drop_capabilities(grants_);
  if (kept.has_error()) {
    apply("capabilities", fail(kept.error().text));
  } else {
    applied_.push_back(kept->empty() ? "capabilities" : "capabilities but " + *kept);
  }
  const Result<void> privileges = forbid_new_privileges();
  no_new_privileges_ = !privileges.has_error();
  apply("no_new_privs", privileges);

  const int version = landlock_version();
  if (version == 0) {
    apply("landlock", fail(std::generic_category().message(errno)));
    return;
  }
  const Result<void> restricted = restrict_by_landlock(version, grants_);
  apply("landlock_files", restricted);
  if (restricted.has_error()) return;
  files_confined_ = true;
  constexpr int kWithNetwork = 4, kWithScopes = 6;
  apply("landlock_bind", version >= kWithNetwork ? Result<void>() : fail("kernel too old"));
  apply("landlock_scopes", version >= kWithScopes ? Result<void>() : fail("kernel too old"));
  if (threads > 1) {
    unavailable_.push_back("landlock_files: of " + std::to_string(threads - 1) + " threads");
  }
}

void Hardening::confine_calls() {
  if (!wanted_ || kSanitized) return;
  if (!no_new_privileges_) {
    apply("seccomp", fail("needs no_new_privs"));
    return;
  }
  apply("seccomp",
        restrict_system_calls(local_sockets_ ? LocalSockets::allowed : LocalSockets::refused));
}

void Hardening::report(Log& log) const {
  std::vector<std::string> applied{memory_name()};
  applied.insert(applied.end(), applied_.begin(), applied_.end());
  std::vector<std::string> unavailable;
  if (wanted_ && applied.front() != "memfd_secret") unavailable.emplace_back("memfd_secret");
  if (wanted_ && kSanitized) {
    unavailable.emplace_back("all else: sanitizer build");
  }
  unavailable.insert(unavailable.end(), unavailable_.begin(), unavailable_.end());
  log.write(Level::info, "hardening",
            {{"mode", std::string_view(wanted_ ? "auto" : "off")},
             {"applied", std::span<const std::string>(applied)},
             {"unavailable", std::span<const std::string>(unavailable)}});
}

}  // namespace iron::proxy
