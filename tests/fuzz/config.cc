// A configuration file loads or is refused with a text, in bounded time and memory, and twice the
// same; what is no YAML is refused with a line of the file. What is loaded can be compared, checked
// and built, and no text holds the value of a secret.
#include "policy/config/config.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
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

/// Refusals of a whole file that name no line.
bool needs_no_line(std::string_view fault) {
  static constexpr std::string_view kFronts[] = {
      "unmarshal errors:\n  line ",
      "cannot decode !!",
      "map merge requires ",
      "unknown anchor '",
      "anchor '",
      "document has too many values",
      "document contains excessive aliasing",
      "control characters are not allowed",
      "invalid leading UTF-8 octet",
      "invalid trailing UTF-8 octet",
      "incomplete UTF-8 octet sequence",
      "invalid length of a UTF-8 sequence",
      "invalid Unicode character",
      "incomplete UTF-16 ",
      "unexpected low surrogate area",
      "expected low surrogate area",
  };
  return std::ranges::any_of(kFronts, [&](auto front) { return fault.starts_with(front); });
}

/// A text about YAML names a line of the file.
void check_line(std::string_view text, std::string_view file) {
  constexpr std::string_view kHead = "parsing config: yaml: ";
  if (!text.starts_with(kHead) || needs_no_line(text.substr(kHead.size()))) return;
  text.remove_prefix(kHead.size());
  FUZZ_CHECK(text.starts_with("line "));
  const long line = std::strtol(std::string(text.substr(5, 10)).c_str(), nullptr, 10);
  const auto ends = std::ranges::count_if(file, [](char c) { return c == '\n' || c == '\r'; });
  FUZZ_CHECK(line >= 1 && line <= ends + 1);
  const std::size_t colon = text.find(": ");
  FUZZ_CHECK(colon != text.npos && colon + 2 < text.size());
}

/// What a file is loaded to, or why it is not.
struct Loaded {
  std::optional<policy::Config> config;
  std::string fault;
};

Loaded load(std::string_view input) {
  try {
    return {policy::load_config(file_of(input)), {}};
  } catch (const policy::ConfigError& error) {
    return {std::nullopt, error.text()};
  }
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
  const auto [config, fault] = load(input);
  const auto [again, same_fault] = load(input);
  FUZZ_CHECK(config.has_value() == again.has_value() && fault == same_fault);
  if (!config) {
    check_text(fault);
    check_line(fault, input);
    return;
  }
  FUZZ_CHECK(keys_needing_restart(*config, *again).empty());
  check_durations(*config);
  for (const auto purpose : {ValidateFor::start, ValidateFor::reload}) {
    try {
      validate(*config, purpose);
    } catch (const ConfigError& error) {
      check_text(error.what());
    }
  }
  build(*config);
}
