// A configuration file loads or is refused with a text, in bounded time and memory; what is loaded
// can be compared, checked and built, and no text holds the value of a secret.
#include "policy/config/config.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "policy/secret/secret.h"
#include "tests/fuzz/fuzz_target.h"
#include "transforms/pipeline.h"

namespace iron::fuzz {
namespace {

constexpr const char* kKey = "real-key-of-the-fuzzer";

/// A file of that content, by name.
std::string file_of(std::string_view content) {
  static const int descriptor = ::memfd_create("config", MFD_CLOEXEC);
  FUZZ_CHECK(::ftruncate(descriptor, 0) == 0);
  FUZZ_CHECK(::pwrite(descriptor, content.data(), content.size(), 0) ==
             static_cast<ssize_t>(content.size()));
  return "/proc/self/fd/" + std::to_string(descriptor);
}

void check_text(std::string_view text) {
  FUZZ_CHECK(!text.empty() && text.size() < 100000);
  FUZZ_CHECK(text.find(kKey) == text.npos);
}

void build(const policy::Config& config) {
  ::setenv("FUZZ_KEY", kKey, 1);
  SecretEnvironment environment;
  transforms::Services services;
  services.environment = &environment;
  services.secret_failed = [](const std::string&, const std::string&, std::int64_t) {};
  std::vector<policy::ConfigWarning> warnings;
  try {
    const transforms::Pipeline pipeline(config, services, warnings);
    FUZZ_CHECK(pipeline.empty() == config.transforms.empty());
  } catch (const policy::ConfigError& error) {
    check_text(error.what());
  }
  for (const policy::ConfigWarning& warning : warnings) {
    for (const auto& attribute : warning.attributes)
      FUZZ_CHECK(attribute.text.find(kKey) == std::string::npos);
  }
}

void check_durations(const policy::Config& config) {
  const policy::Limits& limits = config.proxy.limits;
  for (const policy::Duration value :
       {config.proxy.drain_timeout, config.proxy.upstream_response_header_timeout,
        limits.first_byte_timeout, limits.handshake_timeout, limits.request_head_timeout,
        limits.idle_timeout, limits.stall_timeout, limits.quiet_timeout}) {
    FUZZ_CHECK(policy::parse_duration(policy::format_duration(value)) == value);
  }
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(config) {
  using namespace iron::policy;
  if (input.find(kKey) != input.npos) return;  // texts may quote the file
  try {
    const Config config = load_config(file_of(input));
    FUZZ_CHECK(keys_needing_restart(config, config).empty());
    check_durations(config);
    for (const auto purpose : {ValidateFor::start, ValidateFor::reload}) {
      try {
        validate(config, purpose);
      } catch (const ConfigError& error) {
        check_text(error.what());
      }
    }
    build(config);
  } catch (const ConfigError& error) {
    check_text(error.what());
  }
}
