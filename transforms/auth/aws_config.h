#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "policy/result.h"
#include "policy/secret/secret.h"

namespace iron::transforms {

/// A shared config or credentials file of AWS ("Configuration and credential file settings"). Owns
/// the content; everything else is a view into it, so that no value leaves secret memory.
class AwsConfigFile {
 public:
  struct Setting {
    std::string_view name;
    std::string_view value;       ///< without outer blanks and a comment behind it
    std::vector<Setting> nested;  ///< of a setting without a value: the deeper lines below it
  };
  struct Section {
    std::string_view kind;  ///< `profile`, `services`, `sso-session`; empty for `[name]`
    std::string_view name;
    std::vector<Setting> settings;
  };

  /// Sections that occur twice are kept both. Errors name the line and nothing that stands in it.
  static Result<AwsConfigFile> parse(Secret content);

  bool has(std::string_view kind, std::string_view name) const;
  /// The last value of a setting (names without case) in the sections `[kind name]`.
  std::optional<std::string_view> find(std::string_view kind,
                                       std::string_view name,
                                       std::string_view setting) const;
  /// As find, for what is a key.
  std::optional<Secret> find_secret(std::string_view kind,
                                    std::string_view name,
                                    std::string_view setting) const;
  /// `setting` inside of a block: `endpoint_url` below `s3 =` in `[services x]`.
  std::optional<std::string_view> find_nested(std::string_view kind,
                                              std::string_view name,
                                              std::string_view block,
                                              std::string_view setting) const;
  const std::vector<Section>& sections() const { return sections_; }

 private:
  class Parser;
  Secret content_;
  std::vector<Section> sections_;
};

/// The profile `name` of a config file: `[profile name]`; `default` is `[profile default]`, else
/// `[default]`. Null texts as in AwsConfigFile::find.
std::optional<std::string_view> find_in_profile(const AwsConfigFile& config,
                                                std::string_view name,
                                                std::string_view setting);

}  // namespace iron::transforms
