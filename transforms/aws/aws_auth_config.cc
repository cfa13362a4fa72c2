#include "transforms/aws/aws_auth_config.h"

#include <utility>

#include "policy/quote.h"

namespace iron::transforms {
namespace {

using policy::BlockReader;
using policy::ConfigError;
using NodePtr = std::shared_ptr<const policy::YamlNode>;

constexpr const char* kGoType = "awsauth.config";
constexpr std::string_view kWorkload = "workload_identity";

struct Raw {
  NodePtr access_key_id, secret_access_key, session_token, provider;
  std::unique_ptr<const policy::RuleReader> rules;
};

Raw read(const BuildContext& context, AwsAuthConfig& out) {
  policy::YamlErrors errors;
  const auto reading = context.reader(errors);
  Raw raw;
  BlockReader block(context.node.get(), kGoType, context.path, reading);
  raw.access_key_id = block.block("access_key_id");
  raw.secret_access_key = block.block("secret_access_key");
  raw.session_token = block.block("session_token");
  raw.provider = block.block("credentials_provider");
  block.texts("allowed_regions", out.regions);
  block.texts("allowed_services", out.services);
  block.boolean("unsigned_payload", out.unsigned_payload);
  block.boolean("allow_chunked_body", out.allow_chunked_body);
  raw.rules = std::make_unique<const policy::RuleReader>(block, "rules", reading);
  block.finish();
  check_yaml(errors, "aws_auth");
  return raw;
}

[[noreturn]] void refuse(const std::string& why) { throw ConfigError("aws_auth: " + why); }

std::unique_ptr<AwsWorkload> make_workload(const NodePtr& node, const BuildContext& context) {
  const std::string where = "building credentials_provider: ";
  policy::YamlErrors errors;
  std::string type, region;
  BlockReader block(node.get(), kGoType, context.path + ".credentials_provider",
                    context.reader(errors));
  block.text("type", type);
  block.text("region", region);
  block.finish();
  if (!errors.empty()) refuse(where + "parsing credentials_provider type: " + errors.text());
  if (type.empty()) refuse(where + "credentials_provider.type is required");
  if (type != kWorkload) {
    refuse(where + "unsupported credentials_provider type " + policy::quoted(type));
  }
  return std::make_unique<AwsWorkload>(std::move(region), context);
}

std::unique_ptr<SecretSource> make_source(const NodePtr& node,
                                          const std::string& key,
                                          const BuildContext& context) {
  try {
    return std::make_unique<SecretSource>(node.get(), context.path + "." + key, context);
  } catch (const ConfigError& error) {
    refuse("building " + key + " source: " + error.text());
  }
}

}  // namespace

AwsAuthConfig::AwsAuthConfig(const BuildContext& context) {
  const Raw raw = read(context, *this);
  const bool keys = raw.access_key_id != nullptr || raw.secret_access_key != nullptr;
  if (keys && raw.provider != nullptr) {
    refuse("set either access_key_id/secret_access_key or credentials_provider, not both");
  }
  if (!keys && raw.provider == nullptr) {
    refuse("requires either access_key_id+secret_access_key or credentials_provider");
  }
  if (raw.provider != nullptr) {
    workload = make_workload(raw.provider, context);
  } else {
    if (raw.access_key_id == nullptr) refuse("access_key_id is required");
    if (raw.secret_access_key == nullptr) refuse("secret_access_key is required");
    access_key_id = make_source(raw.access_key_id, "access_key_id", context);
    secret_access_key = make_source(raw.secret_access_key, "secret_access_key", context);
    if (raw.session_token != nullptr) {
      session_token = make_source(raw.session_token, "session_token", context);
    }
  }
  rules = raw.rules->build("aws_auth");
  if (rules.empty()) refuse(R"(at least one entry in "rules" is required)");
  note_rules(rules, context.path, context.risks);
  // A list of empty texts names nothing.
  for (auto* list : {&regions, &services}) std::erase(*list, std::string());
}

}  // namespace iron::transforms
