#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "policy/result.h"
#include "policy/task.h"
#include "transforms/outside.h"
#include "transforms/registry.h"
#include "transforms/sources/secret_source.h"

namespace iron::transforms {

/// The key file of a service account of Google's cloud.
struct ServiceAccount {
  SecretPtr private_key;
  std::string email, key_id, token_uri;
  std::string audience;  ///< of assertions; empty: the token URI
  std::vector<SecretPtr> keys;

  /// `document`: its JSON.
  static Result<ServiceAccount> parse(const Secret& document);
  const std::string& assertion_audience() const { return audience.empty() ? token_uri : audience; }
};

/// `keyfile_path` or `keyfile` of a transform: a key file that is read at its first use and kept.
class KeyFile {
 public:
  /// Null `source`: the file at `path`, which is named to who confines the process. Throws
  /// ConfigError for a source that cannot be built, and for a file that cannot be read later.
  static std::unique_ptr<KeyFile> make(std::string_view transform,
                                       std::string path,
                                       const policy::YamlNode* source,
                                       const BuildContext& context);
  void keys(std::vector<const Secret*>& out) const;

  /// The thread of calls alone. A failure is not kept.
  Task<Result<std::shared_ptr<const ServiceAccount>>> load(Outside& outside);

 private:
  KeyFile(std::string path, std::unique_ptr<SecretSource> source)
      : path_(std::move(path)), source_(std::move(source)) {}
  Task<Result<SecretPtr>> read(Outside& outside);

  const std::string path_;
  const std::unique_ptr<SecretSource> source_;  ///< null: `path_`
  std::shared_ptr<const ServiceAccount> account_;
};

}  // namespace iron::transforms
