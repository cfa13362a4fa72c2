#include "transforms/annotations.h"

#include "policy/json/json_writer.h"

namespace iron::transforms {

Annotations& Annotations::text(std::string_view key, std::string_view value) {
  std::string& out = values_[std::string(key)];
  out.clear();
  policy::append_json_string(out, value);
  return *this;
}

Annotations& Annotations::integer(std::string_view key, std::int64_t value) {
  values_[std::string(key)] = std::to_string(value);
  return *this;
}

Annotations& Annotations::texts(std::string_view key, const std::vector<std::string>& values) {
  std::string& out = values_[std::string(key)];
  out = "[";
  for (const std::string& value : values) {
    if (out.size() > 1) out += ',';
    policy::append_json_string(out, value);
  }
  out += ']';
  return *this;
}

void Annotations::write(std::string& out) const {
  out.clear();
  for (const auto& [key, value] : values_) {
    out += out.empty() ? '{' : ',';
    policy::append_json_string(out, key);
    out += ':';
    out += value;
  }
  if (!out.empty()) out += '}';
}

}  // namespace iron::transforms
