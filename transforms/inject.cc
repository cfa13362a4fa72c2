#include "transforms/inject.h"

#include <algorithm>

#include "policy/http_message.h"
#include "transforms/encoding.h"

namespace iron::transforms {
namespace {

/// Connection, framing and target are the proxy's own (RFC 9110 section 7.6.1).
bool written_by_proxy(std::string_view name) {
  constexpr std::string_view kNames[] = {"Connection",
                                         "Content-Length",
                                         "Host",
                                         "Keep-Alive",
                                         "Proxy-Authenticate",
                                         "Proxy-Authorization",
                                         "Proxy-Connection",
                                         "TE",
                                         "Trailer",
                                         "Transfer-Encoding",
                                         "Upgrade"};
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](std::string_view known) { return iequals(known, name); });
}

void append_pair(Exchange& exchange, std::string_view name, const Secret& value) {
  for (QueryRewrite& rewrite : exchange.query_rewrites) {
    if (rewrite.kind != QueryRewrite::Kind::append || rewrite.key != name) continue;
    rewrite.value = &value;
    return;
  }
  QueryRewrite& rewrite = exchange.query_rewrites.emplace_back();
  rewrite.kind = QueryRewrite::Kind::append;
  rewrite.key = name;
  rewrite.value = &value;
}

}  // namespace

void inject_field(Exchange& exchange, std::string_view name, const Secret& value) {
  if (written_by_proxy(name)) return;
  Headers& headers = exchange.request.headers;
  bool found = false;
  headers.remove_if([&](const Field& field) {
    if (!iequals(field.name, name)) return false;
    const bool again = found;
    found = true;
    return again;
  });
  if (!found) headers.add(name, {});
  for (Field& field : headers.all()) {
    if (!iequals(field.name, name)) continue;
    FieldRewrite& rewrite = exchange.rewrite_of(field);
    rewrite.kind = FieldRewrite::Kind::whole;
    rewrite.parts.clear();
    rewrite.parts.push_back({0, field.value.size(), &value});
    rewrite.spelling = name;
    return;
  }
}

namespace {

/// Some origins split at `;` too: for them the pair may hold the parameter once more. What a token
/// is replaced in is encoded as a whole, so only the pair's name counts there.
void cut_parts(Exchange& exchange,
               std::size_t begin,
               std::string_view pair,
               std::string_view name) {
  using Kind = QueryRewrite::Kind;
  const QueryRewrite* known = exchange.find_rewrite_of_pair(begin);
  if (known != nullptr && known->kind != Kind::substitute && known->kind != Kind::cut) return;
  const bool substituted = known != nullptr && known->kind == Kind::substitute;
  const std::size_t limit = substituted ? std::min(pair.find('='), pair.size()) : pair.size();
  std::string& key = exchange.scratch.text;
  std::size_t done = 0;
  for (std::size_t at = 0; at <= limit;) {
    const std::size_t end = std::min(pair.find(';', at), pair.size());
    const std::string_view part = pair.substr(at, end - at);
    if (decode_form(part.substr(0, part.find('=')), key) && key == name) {
      QueryRewrite& rewrite = exchange.rewrite_of_pair(begin);
      if (rewrite.kind != Kind::cut) rewrite.parts.clear();
      rewrite.kind = Kind::cut;
      rewrite.length = pair.size();
      // With one of the separators beside it: that in front, if something stays in front.
      const std::size_t from = at == done ? at : at - 1;
      done = at == done ? std::min(end + 1, pair.size()) : end;
      const auto place = std::ranges::upper_bound(rewrite.parts, from, {}, &Substitution::begin);
      rewrite.parts.insert(place, {from, done - from, nullptr});
    }
    at = end + 1;
  }
}

}  // namespace

void inject_query(Exchange& exchange, std::string_view name, const Secret& value) {
  const std::string_view query = exchange.raw_query;
  std::string& key = exchange.scratch.text;
  bool found = false;
  for (std::size_t begin = 0; begin < query.size();) {
    const std::size_t end = std::min(query.find('&', begin), query.size());
    const std::string_view pair = query.substr(begin, end - begin);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (!pair.empty() && decode_form(pair.substr(0, equals), key) && key == name) {
      QueryRewrite& rewrite = exchange.rewrite_of_pair(begin);
      rewrite.kind = found ? QueryRewrite::Kind::remove : QueryRewrite::Kind::set;
      rewrite.length = pair.size();
      rewrite.value_begin = begin + std::min(equals + 1, pair.size());
      rewrite.parts.clear();
      rewrite.value = found ? nullptr : &value;
      found = true;
    } else if (pair.find(';') != std::string_view::npos) {
      cut_parts(exchange, begin, pair, name);
    }
    begin = end + 1;
  }
  if (!found) append_pair(exchange, name, value);
}

}  // namespace iron::transforms
