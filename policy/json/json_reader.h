#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "policy/json/json_value.h"
#include "policy/result.h"

namespace iron::policy {

/// Arrays and objects within each other that any document may have.
inline constexpr unsigned kDeepestJson = 64;

/// What a document may cost. Beyond it is not read.
struct JsonLimits {
  std::size_t bytes;            ///< of the document; some 8 times as much memory is used to read it
  std::size_t values = 100000;  ///< of all kinds, nested ones too; 36 bytes each
  unsigned depth = kDeepestJson;  ///< arrays and objects within each other; kDeepestJson at most
};

/// Reads JSON of others that holds no real key: answers of token endpoints and control planes, MCP.
/// The document is checked whole, once: RFC 8259, UTF-8 throughout, escaped surrogates in pairs, no
/// byte order mark. Its memory is wiped at the end, and before the next document.
///
///     JsonReader reader;
///     const auto root = reader.parse(body, {.bytes = 65536});
///     if (!root) return root.error();
///     const auto answer = root->read<JsonObject>();
///     if (!answer) return answer.error();
///     const auto expires = answer->optional<std::int64_t>("expires_in");
class JsonReader {
 public:
  JsonReader() = default;
  ~JsonReader();
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  /// Copies `document`; the value of the whole of it. Values of an earlier one are gone.
  Result<JsonValue> parse(std::string_view document, const JsonLimits& limits);

 private:
  friend class JsonObject;
  template <class Item>
  friend class JsonIterator;
  friend class JsonValue;
  struct Text {
    std::uint32_t begin = 0, size = 0;
  };
  struct Node {
    Text raw;
    Text text;  ///< of a string
    Text name;  ///< of a member
    std::uint32_t parent = 0;
    std::uint32_t after = 0;  ///< what stands behind everything inside of it
    JsonValue::Kind kind = JsonValue::Kind::null;
  };
  class Walk;
  std::string_view view(Text text) const { return {memory_.data() + text.begin, text.size}; }
  void clear();

  std::vector<char> memory_;  ///< the document, its padding, strings without their escapes
  std::vector<Node> nodes_;   ///< in the order of the document; the root is the first
};

}  // namespace iron::policy
