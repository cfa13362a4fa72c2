#include "transforms/outside.h"

#include "policy/http_message.h"
#include "policy/http_status.h"

namespace iron::transforms {

std::string_view CallAnswer::field(std::string_view name) const {
  for (const auto& [spelled, value] : fields) {
    if (iequals(spelled, name)) return value;
  }
  return {};
}

std::string CallAnswer::status_text() const {
  const std::string_view words = reason.empty() ? status_reason(status) : std::string_view(reason);
  return words.empty() ? std::to_string(status) : std::to_string(status) + " " + std::string(words);
}

}  // namespace iron::transforms
