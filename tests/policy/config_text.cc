#include "tests/policy/config_text.h"

#include <type_traits>

namespace iron::policy {
namespace {

std::string code(std::string_view text) { return '`' + std::string(text) + '`'; }

template <class Texts>
std::string listed(const Texts& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ", ") + code(text);
  return out;
}

/// `1h` for `1h0m0s`.
std::string short_duration(Duration value) {
  std::string text = format_duration(value);
  for (const std::string_view zero : {"m0s", "h0m"})
    if (text.ends_with(zero)) text.resize(text.size() - 2);
  return text;
}

std::string shown(bool value) { return code(value ? "true" : "false"); }
std::string shown(std::int64_t value) { return std::to_string(value); }
std::string shown(Duration value) { return code(short_duration(value)); }
std::string shown(const std::string& value) { return value.empty() ? "empty" : code(value); }
std::string shown(const std::vector<std::string>& value) {
  return value.empty() ? "empty" : listed(value);
}
std::string shown(const ProxyUrl& value) {
  return value.text().empty() ? "empty" : code(value.text());
}
template <class Block>
std::string shown(const std::vector<Block>&) {
  return "empty";
}

std::string type_name(const bool&) { return "bool"; }
std::string type_name(const std::int64_t&) { return "int"; }
std::string type_name(const Duration&) { return "duration"; }
std::string type_name(const std::string&) { return "text"; }
std::string type_name(const ProxyUrl&) { return "URL"; }
template <class Value>
std::string type_name(const std::vector<Value>&) {
  return "list";
}

}  // namespace

std::string type_text(const ConfigKey& key) {
  if (!key.form.empty()) return std::string(key.form);
  if (!key.allowed.empty()) return listed(key.allowed);
  const Config standard;
  std::string out;
  with_member(key, [&](const auto& value) { out = type_name(value); }, standard);
  return out;
}

std::string default_text(const ConfigKey& key) {
  if (!key.default_words.empty()) return std::string(key.default_words);
  const Config standard = standard_config();
  std::string out;
  with_member(key, [&](const auto& value) { out = shown(value); }, standard);
  return out;
}

std::string reload_text(const ConfigKey& key) {
  switch (key.reload) {
    case Reload::restart:
      return "no";
    case Reload::applied:
      return "yes";
    case Reload::with_ca:
      return "with the CA";
    case Reload::with_transforms:
      return "with the transforms";
  }
  return {};
}

}  // namespace iron::policy
