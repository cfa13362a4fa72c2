#include "policy/json/json_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "policy/json/json_reader.h"

namespace iron::policy {
namespace {

constexpr std::size_t kLongestShownName = 40;
constexpr std::string_view kKinds[] = {"null",     "a boolean", "a number",
                                       "a string", "an array",  "an object"};

template <class T>
std::optional<T> number_of(std::string_view text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

std::optional<double> nearest_double(std::string_view text) {
  if (const auto value = number_of<double>(text)) return value;
  // Too large, or too small; only the second has a nearest double. What follows a number in memory
  // is no part of one.
  const double value = std::strtod(text.data(), nullptr);
  if (!std::isfinite(value)) return std::nullopt;
  return value;
}

/// A name that may be shown: what people call members, not what they keep in them.
bool plain_name(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '$';
  };
  return !name.empty() && name.size() <= kLongestShownName &&
         std::all_of(name.begin(), name.end(), plain);
}

Error wrong_kind(const JsonValue& value, std::string_view expected) {
  std::string text("expected ");
  text.append(expected).append(", found ").append(kKinds[static_cast<int>(value.kind())]);
  return value.fault(text);
}

template <class T>
Result<T> whole_number(const JsonValue& value, std::string_view expected) {
  if (value.kind() != JsonValue::Kind::number) return wrong_kind(value, expected);
  if (const auto number = number_of<T>(value.raw())) return *number;
  return value.fault(std::string("expected ").append(expected).append(", found another number"));
}

}  // namespace

JsonValue::Kind JsonValue::kind() const { return reader_->nodes_[index_].kind; }

std::string_view JsonValue::raw() const { return reader_->view(reader_->nodes_[index_].raw); }

std::uint32_t JsonValue::first() const { return index_ + 1; }

std::uint32_t JsonValue::after() const { return reader_->nodes_[index_].after; }

std::string JsonValue::path() const {
  std::vector<std::uint32_t> steps;
  const auto& nodes = reader_->nodes_;
  for (std::uint32_t at = index_; at != 0; at = nodes[at].parent) steps.push_back(at);
  std::string path = "$";
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const JsonReader::Node& node = nodes[*step];
    const std::string_view name = reader_->view(node.name);
    const bool member = nodes[node.parent].kind == Kind::object;
    if (member && plain_name(name)) {
      path.append(".").append(name);
      continue;
    }
    std::size_t place = 0;
    for (std::uint32_t at = node.parent + 1; at != *step; at = nodes[at].after) ++place;
    path.append(member ? "[member " : "[").append(std::to_string(place)).append("]");
  }
  return path;
}

Error JsonValue::fault(std::string_view text) const {
  return fail(path().append(": ").append(text));
}

template <>
Result<JsonValue> JsonValue::read() const {
  return *this;
}

template <>
Result<bool> JsonValue::read() const {
  if (kind() != Kind::boolean) return wrong_kind(*this, "a boolean");
  return raw() == "true";
}

template <>
Result<std::int64_t> JsonValue::read() const {
  return whole_number<std::int64_t>(*this, "an integer of 64 bits");
}

template <>
Result<std::uint64_t> JsonValue::read() const {
  return whole_number<std::uint64_t>(*this, "an integer of 64 bits that is not negative");
}

template <>
Result<double> JsonValue::read() const {
  if (kind() != Kind::number) return wrong_kind(*this, "a number");
  if (const auto number = nearest_double(raw())) return *number;
  return fault("expected a number in the range of a double, found another number");
}

template <>
Result<JsonNumber> JsonValue::read() const {
  if (kind() != Kind::number) return wrong_kind(*this, "a number");
  return JsonNumber{raw(), number_of<std::int64_t>(raw()), number_of<std::uint64_t>(raw()),
                    nearest_double(raw())};
}

template <>
Result<std::string_view> JsonValue::read() const {
  if (kind() != Kind::string) return wrong_kind(*this, "a string");
  return reader_->view(reader_->nodes_[index_].text);
}

template <>
Result<JsonArray> JsonValue::read() const {
  if (kind() != Kind::array) return wrong_kind(*this, "an array");
  return JsonArray(*this);
}

template <>
Result<JsonObject> JsonValue::read() const {
  if (kind() != Kind::object) return wrong_kind(*this, "an object");
  return JsonObject(*this);
}

template <>
JsonMember JsonIterator<JsonMember>::operator*() const {
  return {value_.reader_->view(value_.reader_->nodes_[value_.index_].name), value_};
}

Result<std::optional<JsonValue>> JsonObject::find(std::string_view name) const {
  std::optional<JsonValue> found;
  for (const JsonMember member : *this) {
    if (member.name != name) continue;
    if (found) return member.value.fault("there twice");
    found = member.value;
  }
  return found;
}

bool JsonObject::repeats_a_name() const {
  std::vector<std::string_view> names;
  for (const JsonMember member : *this) names.push_back(member.name);
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) != names.end();
}

Error JsonObject::missing(std::string_view name) const {
  return fail(value_.path().append(".").append(name).append(": expected, found nothing"));
}

}  // namespace iron::policy
