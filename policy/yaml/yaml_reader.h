#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/warnings.h"

namespace iron::policy {

/// A node of the configuration file; opaque here so that only the yaml_*.cc files see the YAML
/// library.
class YamlNode;

/// Collects what is wrong with a YAML block, in the order met, as the configuration's users know
/// it: `line 7: cannot unmarshal !!str `x` into int64`, `line 8: field zzz not found in type
/// config.Proxy`, `line 9: mapping key "log" already defined at line 2`.
class YamlErrors {
 public:
  /// Where in the file a fault belongs: line, then order of appearance within the line.
  struct Place {
    int line = 0;
    std::uint32_t ordinal = 0;
    auto operator<=>(const Place&) const = default;
  };

  void add(int line, const std::string& text);
  void add(Place place, int line, const std::string& text);
  /// A fault that hides all others (a tag that contradicts its value): its text alone is shown.
  void abort(Place place, const std::string& text);
  bool empty() const { return entries_.empty() && abort_text_.empty(); }
  /// `yaml: unmarshal errors:\n  line …\n  line …`, in the order of the file.
  std::string text() const;

 private:
  struct Entry {
    Place place;
    std::size_t arrival;
    std::string text;
  };
  std::vector<Entry> entries_;
  Place abort_place_;
  std::string abort_text_;
};

/// What happens to keys nobody asked for.
enum class UnknownKeys { are_errors, are_warnings };

/// Reads one mapping by key with the conversions of docs/configuration.md ("Scalars"). A null node
/// or null value leaves the target as it is. Type errors go to `errors`; reading goes on. finish()
/// must be called last: it reports duplicate and unknown keys.
class BlockReader {
 public:
  struct Context {
    YamlErrors* errors;
    UnknownKeys unknown = UnknownKeys::are_errors;
    std::vector<ConfigWarning>* warnings =
        nullptr;       ///< for are_warnings: `transform config key ignored`
    std::string file;  ///< for warnings
  };
  /// `go_type`: name used in error texts, such as `config.Proxy`. `path`: dotted path for warnings,
  /// such as `transforms[1].config`. A node that is neither null nor a mapping is reported.
  BlockReader(const YamlNode* node, std::string go_type, std::string path, const Context& context);
  ~BlockReader();
  BlockReader(const BlockReader&) = delete;

  bool present(std::string_view key) const;  ///< the key is there with a value other than null
  int line_of(std::string_view key) const;   ///< 1-based line of the value; 0 if absent
  const std::string& path() const { return path_; }
  int line() const;  ///< 1-based line of the block itself; 0 if null

  void text(std::string_view key, std::string& out);
  void boolean(std::string_view key, bool& out);
  /// The same where a text `word` is a value of its own: true if it stands there.
  bool boolean_or(std::string_view key, std::string_view word, bool& out);
  void integer(std::string_view key, std::int64_t& out, std::string_view go_type = "int64");
  /// Null elements are dropped; `lines` receives the line of each kept element.
  void integers(std::string_view key, std::vector<std::int64_t>& out, std::vector<int>& lines);
  /// Null elements are dropped. `lines`, when given, receives the line of each kept element.
  void texts(std::string_view key,
             std::vector<std::string>& out,
             std::vector<int>* lines = nullptr);
  /// Any scalar as text, for values with their own grammar (durations). False if absent or null.
  bool scalar(std::string_view key, std::string& out);
  /// A nested mapping (checked by the BlockReader made for it); null if absent or null. `{}` is
  /// present.
  std::shared_ptr<const YamlNode> block(std::string_view key);
  /// A list of mappings; null elements are dropped. A value that is no list is reported as
  /// `go_type`.
  std::vector<std::shared_ptr<const YamlNode>> blocks(std::string_view key,
                                                      std::string_view go_type);
  /// A mapping whose keys are names of the user's: name and value, in the order of the names. A
  /// value that is no mapping is reported as `go_type`. The last of equal names counts.
  std::vector<std::pair<std::string, std::shared_ptr<const YamlNode>>> entries(
      std::string_view key, std::string_view go_type);
  /// The node as it is, for parts that are read elsewhere.
  std::shared_ptr<const YamlNode> any(std::string_view key);

  void finish();

 private:
  struct State;
  std::string path_;
  std::unique_ptr<State> state_;
};

/// Parses the first document of `bytes`. Throws ConfigError with `parsing config: …` texts: of a
/// syntax fault `yaml: line 2: ` and the reason of the YAML library, of an empty stream `EOF`. Null
/// for `{}`-like null documents.
std::shared_ptr<const YamlNode> parse_yaml(std::string_view bytes);

}  // namespace iron::policy
