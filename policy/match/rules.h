#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/match/deny_list.h"
#include "policy/match/host.h"
#include "policy/warnings.h"
#include "policy/yaml/yaml_reader.h"

namespace iron::policy {

/// Host glob of docs/policy.md, "Host patterns": `*`, `*.suffix`, or a shell-style glob; folded.
class HostPattern {
 public:
  explicit HostPattern(std::string_view pattern);
  bool matches(std::string_view folded_host) const;
  /// A malformed glob, or a pattern with scheme, port or path: it can never match.
  bool useless() const;
  enum class Kind { any, exact, suffix, glob };
  Kind kind() const { return kind_; }
  const std::string& text() const { return text_; }  ///< folded; of `suffix` without `*.`

 private:
  Kind kind_;
  std::string text_;
  bool useless_ = false;
};

/// One entry of a `rules` list: host or CIDR, methods, paths.
struct Rule {
  std::optional<HostPattern> host;
  std::optional<DenyList::Prefix> cidr;
  std::vector<std::string> methods;  ///< upper-cased; empty: any
  std::vector<std::string> paths;    ///< empty: any

  bool matches_host(const Subject& subject) const;
  /// Method and path, for rules that let pass or hand out: every reading of the path matches
  /// (docs/policy.md, "Readings of a path"). The allowlist does not ask for tunnel checks (there,
  /// "Tunnel checks").
  bool admits(const Subject& subject) const;
  /// Method and path, for rules that inspect, strip or refuse: at least one reading matches.
  bool concerns(const Subject& subject) const;

 private:
  bool names_method(const Subject& subject) const;
};

/// Whether a rule of the list matches the host and admits the rest.
bool any_admits(const std::vector<Rule>& rules, const Subject& subject);

/// Reads the list `key` of a block. Throws ConfigError `PREFIX: rules[I]: …` (docs/policy.md,
/// "Errors") after the YAML types are known to be right (the caller checks `errors` first). Adds
/// `pattern never matches` warnings.
class RuleReader {
 public:
  /// Step 1: YAML types only; errors go to the context.
  RuleReader(BlockReader& block, std::string_view key, const BlockReader::Context& context);
  /// Step 2: meaning; throws ConfigError with `prefix`.
  std::vector<Rule> build(const std::string& prefix) const;

 private:
  struct Raw {
    std::string host, cidr;
    std::vector<std::string> methods, paths;
    std::string key;  ///< `transforms[0].config.rules[2]`
    int host_line = 0;
    std::vector<int> method_lines, path_lines;
  };
  Rule build_one(const Raw& raw) const;
  void warn_of_stars(const Raw& raw) const;
  void warn(int line, const std::string& key, const std::string& pattern) const;

  std::vector<Raw> raw_;
  std::vector<ConfigWarning>* warnings_ = nullptr;
  std::string file_;
};

/// The WARN record `pattern never matches`; `key` is dotted: `transforms[0].config.domains[1]`.
ConfigWarning never_matches(const std::string& file,
                            int line,
                            const std::string& key,
                            const std::string& pattern);

/// Parses `10.0.0.0/8`. Throws ConfigError `parsing CIDR "x": invalid CIDR address: x`.
DenyList::Prefix parse_rule_cidr(const std::string& text);

/// Finds, in time that does not grow with their number, the entries whose host part matches a host:
/// a hash for exact names, a reversed-label map for `*.`, a list for the rest.
class HostIndex {
 public:
  void add(const HostPattern& pattern, std::uint32_t id);
  void add(const DenyList::Prefix& prefix, std::uint32_t id);
  void build();
  /// Appends the ids of all entries that match, ascending, each once.
  void find(std::string_view folded_host,
            const std::optional<IpAddress>& literal,
            std::vector<std::uint32_t>& ids) const;

  HostIndex();
  ~HostIndex();
  HostIndex(HostIndex&&) noexcept;
  HostIndex& operator=(HostIndex&&) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iron::policy
