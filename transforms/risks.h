#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/match/pass_through.h"
#include "policy/match/rules.h"
#include "policy/warnings.h"

namespace iron::transforms {

/// Settings that work but are dangerous, collected while the pipeline is built: one `risky setting`
/// warning per reason, with all its keys.
class Risks {
 public:
  Risks() = default;
  /// With the targets that are relayed without a look inside.
  explicit Risks(policy::PassThroughList pass_through) : pass_through_(std::move(pass_through)) {}

  void add(std::string_view reason, std::string_view key);
  /// A rule that has an effect only on requests that are seen.
  void rule_of_requests(const policy::Rule& rule, const std::string& key);
  /// The hosts that an allowlist admits.
  void allowlist(const std::vector<policy::Rule>& rules);
  /// A rule that hands out a key; judged against the allowlist in report().
  void secret_rule(const policy::Rule& rule, const std::string& key);
  /// An entry of `secrets` whose key may leave in clear text; reported once, with their number.
  void clear_text(const std::string& key);
  void report(std::vector<policy::ConfigWarning>& warnings);

 private:
  bool covered(const policy::Rule& rule) const;

  policy::PassThroughList pass_through_;
  std::vector<std::pair<std::string, std::string>> reasons_;  ///< reason, joined keys
  std::string first_clear_text_;
  std::size_t clear_texts_ = 0;
  std::vector<policy::Rule> allowed_;
  std::vector<std::pair<policy::Rule, std::string>> secret_rules_;
  bool has_allowlist_ = false;
};

}  // namespace iron::transforms
