#include "transforms/sources/secret_source.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "policy/duration.h"
#include "policy/quote.h"
#include "transforms/sources/json_member.h"

namespace iron::transforms {
namespace {

using policy::BlockReader;
using policy::ConfigError;
using policy::YamlErrors;

constexpr std::int64_t kFailureNs = 60'000'000'000;
constexpr std::int64_t kForEver = INT64_MAX;
/// The name of the transform's own type in error texts.
constexpr const char* kGoType = "secrets.sourceConfig";

/// Reads one key of the block, with an error text of its own.
template <class Read>
void read_one(const policy::YamlNode* node, const std::string& what, Read read) {
  YamlErrors errors;
  BlockReader block(node, kGoType, {}, {&errors, policy::UnknownKeys::are_warnings, nullptr, {}});
  read(block);
  block.finish();
  if (!errors.empty()) throw ConfigError("parsing " + what + ": " + errors.text());
}

std::string read_text(const policy::YamlNode* node, const char* key, const std::string& what) {
  std::string value;
  read_one(node, what, [&](BlockReader& block) { block.text(key, value); });
  return value;
}

using Factory = std::unique_ptr<SourceKind> (*)(const SourceBlock&);
struct SourceType {
  std::string_view name;
  Factory make;
  std::vector<const char*> keys;
};

const std::vector<SourceType>& source_types() {
  static const std::vector<SourceType> types = {
      {"file", make_file_source, {"path"}},
      {"aws_sm", make_aws_sm_source, {"secret_id", "region"}},
      {"aws_ssm", make_aws_ssm_source, {"name", "region", "with_decryption"}},
      {"1password", make_onepassword_source, {"secret_ref", "token_env"}},
      {"1password_connect", make_connect_source, {"secret_ref", "host_env", "token_env"}},
      {"vault_kv", make_vault_source, {"mount", "path", "kv_version"}},
      {"gcp_sm", make_gcp_source, {"project", "secret", "version", "location"}},
  };
  return types;
}

void warn_unknown_keys(const SourceBlock& source, const std::vector<const char*>& known) {
  YamlErrors ignored;
  BlockReader block(source.node, kGoType, source.path, source.context.reader(ignored));
  for (const char* key : {"type", "json_key"}) block.any(key);
  for (const char* key : known) block.any(key);
  block.finish();
}

std::int64_t later(std::int64_t now_ns, std::int64_t by) {
  return by > kForEver - now_ns ? kForEver : now_ns + by;
}

/// A value that something longer-lived owns.
SecretPtr borrowed(const Secret& secret) { return {std::shared_ptr<void>(), &secret}; }

}  // namespace

std::string SourceBlock::text(const char* key) const {
  return read_text(node, key, type + " source config");
}

std::string SourceBlock::required(const char* key) const {
  std::string value = text(key);
  require(key, value);
  return value;
}

void SourceBlock::require(const char* key, const std::string& value) const {
  if (value.empty()) throw ConfigError(type + " source requires \"" + key + "\" field");
}

void SourceBlock::take(const std::string& variable) const {
  if (context.services.environment != nullptr) context.services.environment->take(variable);
}

void SourceBlock::grant(const std::string& what, const std::string& file) const {
  const auto& may_read = context.services.may_read;
  if (may_read && !may_read(file)) {
    throw ConfigError(what + " " + policy::quoted(file) +
                      " is outside the directories readable since start");
  }
  context.needs.files.push_back(file);
}

bool SourceBlock::boolean(const char* key, bool otherwise) const {
  read_one(node, type + " source config",
           [&](BlockReader& block) { block.boolean(key, otherwise); });
  return otherwise;
}

std::int64_t SourceBlock::integer(const char* key) const {
  std::int64_t value = 0;
  read_one(node, type + " source config",
           [&](BlockReader& block) { block.integer(key, value, "int"); });
  return value;
}

SecretSource::SecretSource(const policy::YamlNode* node,
                           const std::string& path,
                           const BuildContext& context,
                           MakeForms make_forms)
    : make_forms_(std::move(make_forms)),
      environment_(context.services.environment),
      failed_(context.services.secret_failed) {
  const SourceBlock block{node, path, context, read_text(node, "type", "source type")};
  if (block.type.empty()) throw ConfigError("source.type is required");
  if (block.type == "env") {
    name_ = variable_ = block.required("var");
    missing_.error = "env var " + policy::quoted(variable_) + " is not set or empty";
    json_key_ = read_text(node, "json_key", "json_key");
    warn_unknown_keys(block, {"var"});
    if (environment_ != nullptr) context.services.environment->take(variable_);
    return;
  }
  if (block.type == "control_plane") {
    name_ = block.type;
    written_ = Secret::copy_of(block.required("value"));
    json_key_ = read_text(node, "json_key", "json_key");
    warn_unknown_keys(block, {"value"});
    context.warnings.push_back(
        {"secret value is written in the configuration", {{"secret", name_}}});
    return;
  }
  const auto& types = source_types();
  const auto found = std::ranges::find(types, block.type, &SourceType::name);
  if (found == types.end()) {
    throw ConfigError("unsupported source type " + policy::quoted(block.type));
  }
  kind_ = found->make(block);
  name_ = kind_->name();
  read_times(block);
  json_key_ = read_text(node, "json_key", "json_key");
  std::vector<const char*> known = found->keys;
  known.insert(known.end(), {"ttl", "failure_ttl"});
  warn_unknown_keys(block, known);
  context.needs.supplies.push_back(this);
}

/// `ttl` and `failure_ttl`: 0 is the default of both, less means that nothing is kept.
void SecretSource::read_times(const SourceBlock& block) {
  const auto read = [&](const char* key, std::int64_t otherwise) {
    const std::string text = read_text(block.node, key, block.type + " source config");
    if (text.empty()) return otherwise;
    try {
      const std::int64_t value = policy::parse_duration(text).count();
      return value == 0 ? otherwise : value;
    } catch (const ConfigError& error) {
      throw ConfigError(std::string("parsing ") + key + " " + policy::quoted(text) + ": " +
                        error.text());
    }
  };
  ttl_ns_ = read("ttl", 0);
  failure_ttl_ns_ = read("failure_ttl", kFailureNs);
}

std::int64_t SecretSource::monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

const Supplied* SecretSource::look_now(std::int64_t now_ns) const {
  if (!written_.empty()) return make_ready(written_);
  std::int64_t retry_at = retry_at_ns_.load(std::memory_order_relaxed);
  if (now_ns < retry_at) return &missing_;
  const Secret* whole = environment_ == nullptr ? nullptr : environment_->find(variable_);
  if (whole != nullptr) return make_ready(*whole);
  // One of several threads that arrive together reports the failure.
  if (retry_at_ns_.compare_exchange_strong(retry_at, now_ns + kFailureNs) && failed_) {
    failed_(variable_, missing_.error, kFailureNs);
  }
  return &missing_;
}

/// A value that is there once is there for good.
const Supplied* SecretSource::make_ready(const Secret& whole) const {
  std::call_once(made_once_, [&] {
    Kept kept;
    kept.whole = borrowed(whole);
    set_part(kept);
    auto made = std::make_unique<Supplied>();
    made->value = kept.part;
    made->error = kept.part_error;
    made->until_ns = kForEver;
    if (made->value != nullptr && make_forms_) made->forms = make_forms_(made->value);
    made_ = std::move(made);
  });
  ready_.store(made_.get(), std::memory_order_release);
  return made_.get();
}

const Supplied* SecretSource::peek(const Exchange& exchange) const {
  const Supplied* found = nullptr;
  if (!immediate()) {
    found = exchange.known(*this);
  } else if (!written_.empty()) {
    found = make_ready(written_);
  } else if (environment_ != nullptr) {
    const Secret* whole = environment_->find(variable_);
    if (whole != nullptr) found = make_ready(*whole);
  }
  return found != nullptr && found->value != nullptr ? found : nullptr;
}

void SecretSource::keys(std::vector<const Secret*>& out) const {
  if (!immediate() || !is_key_) return;
  const bool there = environment_ != nullptr && !variable_.empty();
  const Secret* whole = there ? environment_->find(variable_) : nullptr;
  if (!written_.empty()) whole = &written_;
  const Supplied* part = whole == nullptr ? nullptr : make_ready(*whole);
  if (part != nullptr && part->value != nullptr) out.push_back(part->value.get());
}

void SecretSource::set_part(Kept& kept) const {
  kept.part.reset();
  kept.part_error.clear();
  if (json_key_.empty()) {
    kept.part = kept.whole;
  } else if (auto member = json_string_member(*kept.whole, json_key_); member.has_value()) {
    kept.part = std::make_shared<const Secret>(std::move(*member));
  } else {
    kept.part_error = "extracting json_key " + policy::quoted(json_key_) + " from secret " +
                      policy::quoted(name_) + ": " + member.error().text;
  }
}

Task<Supplied> SecretSource::fetch(Outside& outside) {
  const std::int64_t now = outside.monotonic_ns();
  if (immediate()) co_return *look_now(now);
  if (kept_.expires_ns > now) co_return supplied();
  Result<Secret> got = co_await kind_->get(outside);
  keep(std::move(got), outside.monotonic_ns(), outside);
  co_return supplied();
}

/// docs/secrets.md, "Sources": how long a value and a failure are kept.
void SecretSource::keep(Result<Secret> got, std::int64_t now_ns, Outside& outside) {
  if (got.has_error()) return keep_failure(got.error().text, now_ns, outside);
  const bool same = kept_.whole != nullptr && kept_.whole->equals(got->reveal());
  if (!same) {
    kept_.whole = std::make_shared<const Secret>(std::move(*got));
    set_part(kept_);
    kept_.forms = kept_.part != nullptr && make_forms_ ? make_forms_(kept_.part) : nullptr;
  }
  kept_.error.clear();
  kept_.expires_ns = ttl_ns_ == 0 ? kForEver : ttl_ns_ < 0 ? INT64_MIN : later(now_ns, ttl_ns_);
}

void SecretSource::keep_failure(const std::string& error, std::int64_t now_ns, Outside& outside) {
  if (kept_.whole != nullptr && !kind_->revoked(now_ns)) {
    outside.note(Outside::Gravity::warn, "failed to refresh secret, serving stale value",
                 {{"secret", name_}, {"error", error}});
    const std::int64_t again = std::min(ttl_ns_ / 2, kind_->patience_ns());
    kept_.expires_ns = again <= 0 ? INT64_MIN : later(now_ns, again);
    return;
  }
  kept_ = {};
  kept_.error = error;
  kept_.expires_ns = failure_ttl_ns_ < 0 ? INT64_MIN : later(now_ns, failure_ttl_ns_);
  outside.note(Outside::Gravity::warn, "failed to fetch secret, caching error",
               {{"secret", name_}, {"error", error}, {"retry_in", failure_ttl_ns_}});
}

Supplied SecretSource::supplied() const {
  Supplied out;
  out.until_ns = kept_.expires_ns;
  out.error = kept_.whole == nullptr ? kept_.error : kept_.part_error;
  out.value = kept_.part;
  out.forms = kept_.forms;
  out.is_key = is_key_;
  if (kept_.whole != nullptr && is_key_) out.keys.push_back(kept_.whole);
  for (SecretPtr& key : kind_->keys_shown()) {
    if (key != nullptr) out.keys.push_back(std::move(key));
  }
  return out;
}

}  // namespace iron::transforms
