#pragma once

#include <memory>
#include <string>
#include <vector>

#include "policy/yaml/yaml_reader.h"
#include "transforms/pipeline.h"
#include "transforms/risks.h"
#include "transforms/transform.h"

namespace iron::transforms {

/// What the constructor of a transform gets.
struct BuildContext {
  std::shared_ptr<const policy::YamlNode> node;  ///< its `config`; null when missing
  std::string path;                              ///< `transforms[1].config`
  std::string file;                              ///< of the configuration, for warnings
  const Services& services;
  std::vector<policy::ConfigWarning>& warnings;
  Risks& risks;
  Needs& needs;
  bool sni_only = false;  ///< no request is seen, and none is changed

  /// For reading blocks in which unknown keys are passed over with a warning.
  policy::BlockReader::Context reader(policy::YamlErrors& errors) const {
    return {&errors, policy::UnknownKeys::are_warnings, &warnings, file};
  }
  /// Names a program that is run while serving. Throws ConfigError if it cannot be any more.
  void need_program(ProgramNeed program) const;
};

/// Builds the transform of that name. Throws ConfigError with the texts of Pipeline::Pipeline.
std::unique_ptr<const Transform> make_transform(const std::string& name,
                                                const BuildContext& context);

/// Tells `risks` the rules of the block `path`, which have an effect only on requests that are
/// seen.
void note_rules(const std::vector<policy::Rule>& rules, const std::string& path, Risks& risks);

/// Throws ConfigError `parsing NAME config: yaml: unmarshal errors:…` if there are errors.
void check_yaml(const policy::YamlErrors& errors, std::string_view name);

/// The transforms there are; each is in the file of its name and throws ConfigError.
std::unique_ptr<const Transform> make_allowlist(const BuildContext& context);
std::unique_ptr<const Transform> make_annotate(const BuildContext& context);
std::unique_ptr<const Transform> make_aws_auth(const BuildContext& context);
std::unique_ptr<const Transform> make_body_capture(const BuildContext& context);
std::unique_ptr<const Transform> make_gcp_auth(const BuildContext& context);
std::unique_ptr<const Transform> make_gcp_id_token(const BuildContext& context);
std::unique_ptr<const Transform> make_header_allowlist(const BuildContext& context);
std::unique_ptr<const Transform> make_hmac_sign(const BuildContext& context);
std::unique_ptr<const Transform> make_oauth_token(const BuildContext& context);
std::unique_ptr<const Transform> make_secrets(const BuildContext& context);

}  // namespace iron::transforms
