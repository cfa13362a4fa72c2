#include "transforms/auth/form.h"

#include <algorithm>

#include "policy/hex.h"
#include "transforms/auth/secret_writer.h"
#include "transforms/encoding.h"

namespace iron::transforms {
namespace {

void put_encoded(SecretWriter& out, std::string_view text) {
  char* const begin = out.room(text.size() * 3);
  out.written(static_cast<std::size_t>(put_form_encoded(begin, text) - begin));
}

/// Gives the bytes that a part of a form stands for.
template <class Sink>
void decode(std::string_view text, Sink sink) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      sink(text[at] == '+' ? ' ' : text[at]);
      continue;
    }
    sink(static_cast<char>(policy::hex_value(text[at + 1]) << 4 | policy::hex_value(text[at + 2])));
    at += 2;
  }
}

bool stands_for(std::string_view encoded, std::string_view text) {
  std::size_t matched = 0;
  bool same = true;
  decode(encoded, [&](char c) {
    same = same && matched < text.size() && text[matched] == c;
    ++matched;
  });
  return same && matched == text.size();
}

}  // namespace

Secret write_form(std::span<const FormPair> pairs) {
  SecretWriter out;
  for (const FormPair& pair : pairs) {
    if (out.size() > 0) out.put('&');
    put_encoded(out, pair.name);
    out.put('=');
    put_encoded(out, pair.value);
  }
  return out.finish();
}

bool is_form(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == ';') return false;
    if (text[at] != '%') continue;
    if (text.size() - at < 3 || policy::hex_value(text[at + 1]) < 0 ||
        policy::hex_value(text[at + 2]) < 0) {
      return false;
    }
  }
  return true;
}

std::optional<Secret> form_value(std::string_view form, std::string_view name) {
  if (!is_form(form)) return std::nullopt;
  while (!form.empty()) {
    const std::string_view pair = form.substr(0, form.find('&'));
    form.remove_prefix(std::min(form.size(), pair.size() + 1));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (pair.empty() || !stands_for(pair.substr(0, equals), name)) continue;
    const std::string_view value = pair.substr(std::min(pair.size(), equals + 1));
    SecretWriter out;
    char* end = out.room(value.size());
    decode(value, [&](char c) {
      *end++ = c;
      out.written(1);
    });
    return out.finish();
  }
  return std::nullopt;
}

}  // namespace iron::transforms
