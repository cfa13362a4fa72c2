#include "transforms/sources/json_member.h"

#include <string>

#include "policy/quote.h"
#include "transforms/sources/secret_json.h"

namespace iron::transforms {
namespace {

using Kind = SecretJson::Kind;

/// As scripts that read the records know the kinds, of a document and of a member.
const char* word_of(Kind kind) {
  switch (kind) {
    case Kind::array:
      return "array";
    case Kind::string:
      return "string";
    case Kind::number:
      return "number";
    case Kind::boolean:
      return "bool";
    default:
      return "object";
  }
}
const char* type_of(Kind kind) {
  switch (kind) {
    case Kind::null:
      return "<nil>";
    case Kind::boolean:
      return "bool";
    case Kind::number:
      return "float64";
    case Kind::array:
      return "[]interface {}";
    default:
      return "map[string]interface {}";
  }
}

}  // namespace

Result<Secret> json_string_member(const Secret& text, std::string_view key) {
  const auto document = SecretJson::parse(text.reveal());
  if (!document) return fail("secret value is not valid JSON: invalid syntax");
  const Kind kind = document->kind();
  if (kind != Kind::object && kind != Kind::null) {
    return fail(std::string("secret value is not valid JSON: json: cannot unmarshal ") +
                word_of(kind) + " into Go value of type map[string]interface {}");
  }
  const auto member = document->member(key);
  if (!member) return fail("key " + policy::quoted(key) + " not found in JSON");
  if (member->kind() != Kind::string) {
    return fail("key " + policy::quoted(key) + " is not a string (type " + type_of(member->kind()) +
                ")");
  }
  return member->text();
}

}  // namespace iron::transforms
