#include "transforms/outside.h"

#include <algorithm>

#include "policy/http_message.h"
#include "policy/http_status.h"

namespace iron::transforms {

void CallAnswer::set_head(std::string_view reason_in, const Fields& fields_in) {
  std::size_t size = reason_in.size();
  for (const auto& [name, value] : fields_in) size += name.size() + value.size();
  head = Secret::sized(size);
  char* out = head.writable().data();
  const auto keep = [&](std::string_view text) {
    char* const begin = out;
    out = std::copy(text.begin(), text.end(), out);
    return std::string_view(begin, text.size());
  };
  reason = keep(reason_in);
  fields.clear();
  for (const auto& [name, value] : fields_in) {
    const std::string_view kept = keep(name);
    fields.emplace_back(kept, keep(value));
  }
}

std::string_view CallAnswer::field(std::string_view name) const {
  for (const auto& [spelled, value] : fields) {
    if (iequals(spelled, name)) return value;
  }
  return {};
}

std::string CallAnswer::status_text() const {
  const std::string_view words = reason.empty() ? status_reason(status) : reason;
  return words.empty() ? std::to_string(status) : std::to_string(status) + " " + std::string(words);
}

}  // namespace iron::transforms
