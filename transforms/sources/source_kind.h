#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "transforms/outside.h"
#include "transforms/registry.h"

namespace iron::transforms {

/// Where the values of one type of source come from. What it keeps is touched on the thread of
/// calls alone.
class SourceKind {
 public:
  virtual ~SourceKind() = default;
  /// How records name the secret.
  virtual std::string name() const = 0;
  /// One attempt. An empty value is an error here. The text is all that is told of a failure.
  virtual Task<Result<Secret>> get(Outside& outside) = 0;
  /// Asked behind a failed attempt: the secret was taken back, and what it was must not be used.
  virtual bool revoked(std::int64_t now_ns) const {
    static_cast<void>(now_ns);
    return false;
  }
  /// The keys that endpoints were shown in the last attempt, which they may have sent back: the
  /// log's net is to know them.
  virtual std::vector<SecretPtr> keys_shown() const { return {}; }
  /// How soon to look again behind a failed attempt, while an older value is used.
  virtual std::int64_t patience_ns() const { return INT64_MAX; }
};

/// The `source` block of an entry, as the factories read it.
struct SourceBlock {
  const policy::YamlNode* node;
  std::string path;
  const BuildContext& context;
  std::string type;

  /// One text of it. Throws ConfigError `parsing TYPE source config: …`.
  std::string text(const char* key) const;
  /// The same for a text that must be there: `TYPE source requires "KEY" field`.
  std::string required(const char* key) const;
  void require(const char* key, const std::string& value) const;
  bool boolean(const char* key, bool otherwise) const;
  std::int64_t integer(const char* key) const;  ///< 0 if absent

  /// Takes a variable that is a key out of the environment, for Outside::secret_variable().
  void take(const std::string& variable) const;
  /// A file that is read while serving: throws ConfigError if it cannot be granted any more.
  /// `what` begins the text.
  void grant(const std::string& what, const std::string& file) const;
};

/// Each throws ConfigError without the entry's prefix (docs/secrets.md, "Sources").
std::unique_ptr<SourceKind> make_aws_sm_source(const SourceBlock& block);
std::unique_ptr<SourceKind> make_aws_ssm_source(const SourceBlock& block);
std::unique_ptr<SourceKind> make_file_source(const SourceBlock& block);
std::unique_ptr<SourceKind> make_vault_source(const SourceBlock& block);
std::unique_ptr<SourceKind> make_connect_source(const SourceBlock& block);
std::unique_ptr<SourceKind> make_gcp_source(const SourceBlock& block);
std::unique_ptr<SourceKind> make_onepassword_source(const SourceBlock& block);

}  // namespace iron::transforms
