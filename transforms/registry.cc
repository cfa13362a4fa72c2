#include "transforms/registry.h"

#include <utility>

#include "policy/quote.h"

namespace iron::transforms {
namespace {

using policy::ConfigError;
using Factory = std::unique_ptr<const Transform> (*)(const BuildContext&);

struct Registration {
  std::string_view name;
  Factory make;  ///< null: known, but not part of this build
};

constexpr Registration kTransforms[] = {
    {"allowlist", make_allowlist},
    {"annotate", make_annotate},
    {"aws_auth", make_aws_auth},
    {"body_capture", make_body_capture},
    {"gcp_auth", make_gcp_auth},
    {"gcp_id_token", make_gcp_id_token},
    {"grpc", nullptr},
    {"header_allowlist", make_header_allowlist},
    {"hmac_sign", make_hmac_sign},
    {"judge", nullptr},
    {"oauth_token", make_oauth_token},
    {"secrets", make_secrets},
};

}  // namespace

void BuildContext::need_program(ProgramNeed program) const {
  if (services.may_run && !services.may_run(program)) {
    throw ConfigError("a program can be run only if the configuration at the start had one");
  }
  needs.programs.push_back(std::move(program));
}

std::unique_ptr<const Transform> make_transform(const std::string& name,
                                                const BuildContext& context) {
  const std::string shown = policy::quoted(name);
  for (const Registration& entry : kTransforms) {
    if (entry.name != name) continue;
    if (entry.make == nullptr) {
      throw ConfigError("transform " + shown + " is not supported by this build");
    }
    try {
      return entry.make(context);
    } catch (const ConfigError& error) {
      throw ConfigError("initializing transform " + shown + ": " + error.text());
    }
  }
  throw ConfigError("unknown transform " + shown + ": unknown transform: " + shown);
}

void note_rules(const std::vector<policy::Rule>& rules, const std::string& path, Risks& risks) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    risks.rule_of_requests(rules[i], path + ".rules[" + std::to_string(i) + "]");
  }
}

void check_yaml(const policy::YamlErrors& errors, std::string_view name) {
  if (errors.empty()) return;
  throw ConfigError("parsing " + std::string(name) + " config: " + errors.text());
}

}  // namespace iron::transforms
