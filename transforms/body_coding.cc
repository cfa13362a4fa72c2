#include "transforms/body_coding.h"

#include <algorithm>
#include <optional>

namespace iron::transforms {
namespace {

constexpr std::string_view kJsonSuffix = "+json";

BodyCoding coding_of(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  type = type.substr(0, type.find_last_not_of(" \t") + 1);
  if (iequals(type, "application/x-www-form-urlencoded")) return BodyCoding::form;
  const std::string_view suffix =
      type.substr(type.size() - std::min(type.size(), kJsonSuffix.size()));
  const bool json = iequals(type, "application/json") || iequals(suffix, kJsonSuffix);
  return json ? BodyCoding::json : BodyCoding::none;
}

}  // namespace

BodyCoding body_coding(const Headers& headers) {
  std::optional<BodyCoding> coding;
  for (const Field& field : headers.all()) {
    if (!iequals(field.name, "Content-Type")) continue;
    const BodyCoding own = coding_of(field.value);
    if (coding.value_or(own) != own) return BodyCoding::none;
    coding = own;
  }
  return coding.value_or(BodyCoding::none);
}

bool JsonStrings::hold(std::size_t begin, std::size_t length) {
  read_to(begin);
  const bool inside = in_string_;
  const bool whole = read_to(begin + length);
  return inside && whole;
}

bool JsonStrings::read_to(std::size_t end) {
  bool same = true;
  for (; at_ < std::min(end, json_.size()); ++at_) {
    if (escaped_) {
      escaped_ = false;
    } else if (json_[at_] == '"') {
      in_string_ = !in_string_;
      same = false;
    } else {
      escaped_ = in_string_ && json_[at_] == '\\';
    }
  }
  return same;
}

}  // namespace iron::transforms
