#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "policy/yaml/yaml_reader.h"

// Private to the yaml_*.cc files: everyone else sees YamlNode as an opaque name.

namespace iron::policy {

struct YamlDocument;

/// Short tags of the kinds of value that the configuration knows.
namespace yaml_tag {
inline constexpr std::string_view kNull = "!!null";
inline constexpr std::string_view kBool = "!!bool";
inline constexpr std::string_view kInt = "!!int";
inline constexpr std::string_view kFloat = "!!float";
inline constexpr std::string_view kText = "!!str";
inline constexpr std::string_view kBinary = "!!binary";
inline constexpr std::string_view kTimestamp = "!!timestamp";
inline constexpr std::string_view kMerge = "!!merge";
inline constexpr std::string_view kSequence = "!!seq";
inline constexpr std::string_view kMapping = "!!map";
}  // namespace yaml_tag

/// One node of a document. Aliases are resolved while parsing: `content` may hold a node twice, but
/// never one that contains itself.
class YamlNode {
 public:
  enum class Kind : std::uint8_t { scalar, sequence, mapping };

  Kind kind = Kind::scalar;
  bool explicit_tag = false;
  int line = 0;               ///< 1-based
  std::uint32_t ordinal = 0;  ///< order of appearance, for the order of error texts
  /// Memory a reader could need for this node with every alias copied out.
  std::uint64_t expanded = 0;
  std::string_view tag;  ///< short form; points to a constant or into the document
  std::string value;
  std::vector<const YamlNode*> content;  ///< elements, or keys and values in turn
  const YamlDocument* document = nullptr;

  bool is_null() const { return kind == Kind::scalar && tag == yaml_tag::kNull; }
  bool is_merge_key() const {
    return kind == Kind::scalar && value == "<<" && tag == yaml_tag::kMerge;
  }
};

struct YamlDocument : std::enable_shared_from_this<YamlDocument> {
  std::deque<YamlNode> nodes;
  std::deque<std::string> tags;  ///< those that are no constants
  const YamlNode* root = nullptr;
};

/// A handle that keeps the whole document; null for null and for null nodes.
std::shared_ptr<const YamlNode> share(const YamlNode* node);

/// What a scalar means; `tag` says which member holds it. Integers above the int64 range are
/// `unsigned_integer`.
struct YamlScalar {
  std::string_view tag;
  bool boolean = false;
  bool is_unsigned = false;
  std::int64_t integer = 0;
  std::uint64_t unsigned_integer = 0;
  double real = 0;
};

/// Meaning of a plain scalar with the tag `tag` (empty: none).
YamlScalar resolve_scalar(std::string_view tag, std::string_view text);
/// Meaning of a scalar node. False if its explicit tag contradicts the text: `error` says so.
bool resolve_node(const YamlNode& node, YamlScalar& out, std::string& error);

/// Checks the encoding and gives UTF-8 without byte order mark. Throws ConfigError.
std::string decode_yaml_bytes(std::string_view bytes);

}  // namespace iron::policy
