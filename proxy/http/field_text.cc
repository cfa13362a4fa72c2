#include "proxy/http/field_text.h"

#include "policy/http_message.h"

namespace iron::proxy {

bool has_token(std::string_view value, std::string_view token) {
  bool found = false;
  for_each_token(value,
                 [&](std::string_view element) { found = found || iequals(element, token); });
  return found;
}

}  // namespace iron::proxy
