// A document is taken exactly where the library's own reader takes it, apart from numbers that have
// no 64 bits and from what is nested too deeply; both find the same in it; and what is written from
// what was read is read as the same again.
#include "policy/json/json_reader.h"

#include <simdjson.h>

#include <string>

#include "policy/json/json_writer.h"
#include "tests/fuzz/fuzz_target.h"

namespace iron::fuzz {
namespace {

using namespace iron::policy;
using Kind = JsonValue::Kind;
constexpr JsonLimits kLimits{.bytes = 100000, .values = 20000};

struct Seen {
  std::size_t values = 0;
  bool beyond = false;  ///< a number that has no 64 bits
  std::string written;
};

/// Goes over all that was read, and writes it anew.
void look(const JsonValue& value, Seen& seen, std::string_view document) {
  ++seen.values;
  const std::string_view raw = value.raw();
  FUZZ_CHECK(!raw.empty() && document.find(raw) != document.npos);
  switch (value.kind()) {
    case Kind::null:
      FUZZ_CHECK(raw == "null" && !value.read<bool>() && !value.read<std::string_view>());
      seen.written += "null";
      return;
    case Kind::boolean:
      seen.written += value.read<bool>().value() ? "true" : "false";
      return;
    case Kind::number: {
      const JsonNumber number = value.read<JsonNumber>().value();
      const bool whole = number.text.find_first_of(".eE") == number.text.npos;
      seen.beyond |= whole ? !number.integer && !number.natural : !number.nearest;
      seen.written.append(number.text);
      return;
    }
    case Kind::string:
      append_json_string(seen.written, value.read<std::string_view>().value());
      return;
    case Kind::array: {
      char before = '[';
      for (const JsonValue element : value.read<JsonArray>().value()) {
        seen.written += before;
        before = ',';
        look(element, seen, raw);
      }
      seen.written += before == '[' ? "[]" : "]";
      return;
    }
    case Kind::object: {
      char before = '{';
      for (const JsonMember member : value.read<JsonObject>().value()) {
        seen.written += before;
        before = ',';
        append_json_string(seen.written, member.name);
        seen.written += ':';
        look(member.value, seen, raw);
      }
      seen.written += before == '{' ? "{}" : "}";
      return;
    }
  }
}

void expect_number(const JsonNumber& number, const simdjson::dom::element& other) {
  if (other.is_int64()) {
    FUZZ_CHECK(number.integer == other.get_int64().value());
  } else if (other.is_uint64()) {
    FUZZ_CHECK(!number.integer && number.natural == other.get_uint64().value());
  } else {
    FUZZ_CHECK(!number.integer && !number.natural && number.nearest == other.get_double().value());
  }
}

void expect_same(const JsonValue& value, const simdjson::dom::element& other) {
  using Type = simdjson::dom::element_type;
  switch (value.kind()) {
    case Kind::null:
      FUZZ_CHECK(other.type() == Type::NULL_VALUE);
      return;
    case Kind::boolean:
      FUZZ_CHECK(value.read<bool>().value() == other.get_bool().value());
      return;
    case Kind::number:
      expect_number(value.read<JsonNumber>().value(), other);
      return;
    case Kind::string:
      FUZZ_CHECK(value.read<std::string_view>().value() == other.get_string().value());
      return;
    case Kind::array: {
      simdjson::dom::array elements = other.get_array().value();
      auto element = elements.begin();
      for (const JsonValue inner : value.read<JsonArray>().value()) {
        FUZZ_CHECK(element != elements.end());
        expect_same(inner, *element);
        ++element;
      }
      FUZZ_CHECK(!(element != elements.end()));
      return;
    }
    case Kind::object: {
      simdjson::dom::object members = other.get_object().value();
      auto member = members.begin();
      for (const JsonMember inner : value.read<JsonObject>().value()) {
        FUZZ_CHECK(member != members.end() && inner.name == member.key());
        expect_same(inner.value, member.value());
        ++member;
      }
      FUZZ_CHECK(!(member != members.end()));
      return;
    }
  }
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(json_reader) {
  static simdjson::dom::parser parser;
  if (input.size() > kLimits.bytes) return;
  JsonReader reader;
  const auto root = reader.parse(input, kLimits);
  simdjson::dom::element other;
  const simdjson::error_code verdict = parser.parse(input).get(other);
  if (!root) {
    const std::string& error = root.error().text;
    FUZZ_CHECK(error.starts_with("$") && error.size() < 4000);
    const bool limited = error.find(": nested deeper than 64") != error.npos ||
                         error.find(": more than 20000 values") != error.npos;
    FUZZ_CHECK(limited || verdict != simdjson::SUCCESS);
    return;
  }
  Seen seen;
  look(*root, seen, input);
  FUZZ_CHECK(verdict == (seen.beyond ? simdjson::NUMBER_ERROR : simdjson::SUCCESS));
  if (!seen.beyond) expect_same(*root, other);

  JsonReader again;
  const auto copy = again.parse(seen.written, {.bytes = 10 * kLimits.bytes, .values = seen.values});
  FUZZ_CHECK(copy.has_value() && copy->raw() == seen.written);
  Seen second;
  look(*copy, second, seen.written);
  FUZZ_CHECK(second.values == seen.values && second.written == seen.written);
}
