#include "proxy/http/max_forwards.h"

#include <charconv>
#include <limits>
#include <string_view>

namespace iron::proxy {
namespace {

constexpr std::string_view kName = "Max-Forwards";

std::optional<std::uint64_t> parse(std::string_view digits) {
  if (digits.find_first_not_of("0123456789") != digits.npos) return std::nullopt;
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ec == std::errc::result_out_of_range) {
    return std::numeric_limits<std::uint64_t>::max();
  }
  return parsed.ec == std::errc() ? std::optional(value) : std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> max_forwards(const Request& request) {
  if (request.method != "OPTIONS" && request.method != "TRACE") return std::nullopt;
  const Field* field = request.headers.find(kName);
  // What a transform writes is none of the client's.
  if (field == nullptr || field->rewrite != 0 || request.headers.count(kName) != 1) {
    return std::nullopt;
  }
  return parse(field->value);
}

void FewerForwards::apply(Request& request, std::uint64_t received) {
  const char* const end = std::to_chars(text_, text_ + sizeof text_, received - 1).ptr;
  for (Field& field : request.headers.all()) {
    if (iequals(field.name, kName)) field.value = {text_, static_cast<std::size_t>(end - text_)};
  }
}

}  // namespace iron::proxy
