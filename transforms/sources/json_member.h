#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "policy/secret/secret.h"

namespace iron::transforms {

/// JSON that holds real keys. It is checked whole (RFC 8259) where it stands, and read through
/// views into its secret memory: no copy is left outside a Secret.

/// A value inside of such a document; lives as long as the document's Secret.
struct JsonPart {
  enum class Kind { null, boolean, number, string, object, array };
  Kind kind = Kind::null;
  std::string_view raw;  ///< as written; of a string what stands between the quotes
};

/// The whole of `text`, or nothing if that is not one valid JSON value.
std::optional<JsonPart> json_document(std::string_view text);
/// A member of an object that json_document let pass; of equal keys the last counts.
std::optional<JsonPart> json_member(const JsonPart& object, std::string_view key);
/// What stands in an array that json_document let pass; empty if it is none.
std::vector<JsonPart> json_elements(const JsonPart& array);
/// A string without its escapes; bytes that are no UTF-8 become U+FFFD.
Secret json_text(const JsonPart& string);
/// Whether a string stands for `text`.
bool json_text_is(const JsonPart& string, std::string_view text);

/// The string member `key` of the JSON object in `text`, unescaped. Nothing if `text` is not one
/// valid JSON object, has no such member, or the member is no string; of equal keys the last
/// counts.
std::optional<Secret> json_string_member(const Secret& text, std::string_view key);

}  // namespace iron::transforms
