#include "transforms/sources/secret_source.h"

#include <chrono>

#include "policy/quote.h"
#include "transforms/sources/json_member.h"

namespace iron::transforms {
namespace {

using policy::BlockReader;
using policy::ConfigError;
using policy::YamlErrors;

constexpr std::int64_t kFailureNs = 60'000'000'000;
/// The name of the transform's own type in error texts.
constexpr const char* kGoType = "secrets.sourceConfig";

/// One text of the block, with an error text of its own.
std::string read_text(const policy::YamlNode* node, const char* key, const char* what) {
  YamlErrors errors;
  std::string value;
  BlockReader block(node, kGoType, {}, {&errors, policy::UnknownKeys::are_warnings, nullptr, {}});
  block.text(key, value);
  block.finish();
  if (!errors.empty()) throw ConfigError(std::string("parsing ") + what + ": " + errors.text());
  return value;
}

void warn_unknown_keys(const policy::YamlNode* node,
                       const std::string& path,
                       const BuildContext& context) {
  YamlErrors ignored;
  BlockReader block(node, kGoType, path, context.reader(ignored));
  for (const char* key : {"type", "var", "json_key"}) block.any(key);
  block.finish();
}

}  // namespace

SecretSource::SecretSource(const policy::YamlNode* node,
                           const std::string& path,
                           const BuildContext& context)
    : environment_(context.services.environment), failed_(context.services.secret_failed) {
  const std::string type = read_text(node, "type", "source type");
  if (type.empty()) throw ConfigError("source.type is required");
  for (const char* known : {"aws_sm", "aws_ssm", "1password", "1password_connect"}) {
    if (type == known) {
      throw ConfigError("source type " + policy::quoted(type) + " is not supported by this build");
    }
  }
  if (type != "env") throw ConfigError("unsupported source type " + policy::quoted(type));

  variable_ = read_text(node, "var", "env source config");
  if (variable_.empty()) throw ConfigError(R"(env source requires "var" field)");
  json_key_ = read_text(node, "json_key", "json_key");
  warn_unknown_keys(node, path, context);
  if (environment_ != nullptr) context.services.environment->take(variable_);
}

std::int64_t SecretSource::monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

const Secret* SecretSource::fetch(std::int64_t now_ns) const {
  std::int64_t retry_at = retry_at_ns_.load(std::memory_order_relaxed);
  if (now_ns < retry_at) return nullptr;
  const Secret* whole = environment_ == nullptr ? nullptr : environment_->find(variable_);
  if (whole == nullptr) {
    // One of several threads that arrive together reports the failure.
    if (retry_at_ns_.compare_exchange_strong(retry_at, now_ns + kFailureNs) && failed_) {
      failed_(variable_, "env var " + policy::quoted(variable_) + " is not set or empty",
              kFailureNs);
    }
    return nullptr;
  }
  const Secret* value = part_of(*whole);
  ready_.store(value, std::memory_order_release);
  return value;
}

const Secret* SecretSource::peek() const {
  const Secret* whole = environment_ == nullptr ? nullptr : environment_->find(variable_);
  return whole == nullptr ? nullptr : part_of(*whole);
}

const Secret* SecretSource::part_of(const Secret& whole) const {
  return json_key_.empty() ? &whole : extract(whole);
}

const Secret* SecretSource::extract(const Secret& whole) const {
  std::call_once(extracted_once_, [&] {
    if (auto member = json_string_member(whole, json_key_)) {
      extracted_ = std::make_unique<const Secret>(std::move(*member));
    }
  });
  return extracted_.get();
}

}  // namespace iron::transforms
