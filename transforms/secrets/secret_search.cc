#include "transforms/secrets/secret_search.h"

#include <string.h>

#include <algorithm>

#include "policy/http_message.h"
#include "transforms/encoding.h"

namespace iron::transforms {
namespace {

/// Up to so many tokens one library search for each is faster than one pass of the automaton.
constexpr std::uint32_t kFewTokens = 3;
constexpr std::string_view kBasic = "Basic ";

bool starts_with_basic(std::string_view value) {
  return value.size() > kBasic.size() && value[kBasic.size() - 1] == ' ' &&
         iequals(value.substr(0, kBasic.size()), kBasic);
}

std::size_t find_token(std::string_view text, std::string_view token, std::size_t from) {
  if (text.size() - from < token.size()) return std::string_view::npos;
  const void* hit = memmem(text.data() + from, text.size() - from, token.data(), token.size());
  if (hit == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(hit) - text.data());
}

}  // namespace

SecretSearch::SecretSearch(const SecretEntries& entries,
                           const TokenSearch& tokens,
                           Exchange& exchange,
                           Purpose purpose)
    : entries_(entries),
      tokens_(tokens),
      exchange_(exchange),
      scratch_(exchange.scratch),
      purpose_(purpose) {
  auto& first = scratch_.first_active;
  if (first.size() < tokens.size()) first.resize(tokens.size());
  // From the back, so that the chain of a token is in the order of the entries.
  for (auto i = static_cast<std::uint32_t>(scratch_.active.size()); i-- > 0;) {
    const SecretEntry& at = entry(i);
    scratch_.active[i].hit = false;
    if (at.injects()) {
      (at.header.empty() ? injects_query_ : injects_header_) = true;
      continue;
    }
    ++replacing_;
    match_query_ |= at.match_query;
    match_path_ |= at.match_path;
    match_body_ |= at.match_body;
    scratch_.active[i].next = first[at.token_id];
    first[at.token_id] = i + 1;
  }
}

SecretSearch::~SecretSearch() {
  for (std::uint32_t i = 0; i < scratch_.active.size(); ++i) {
    if (!entry(i).injects()) scratch_.first_active[entry(i).token_id] = 0;
  }
}

void SecretSearch::run() {
  scratch_.locations.clear();
  if (replacing_ == 0) return;
  search_fields();
  if (match_query_) search_query();
  if (match_path_) search_path();
  if (match_body_) search_body();
}

std::uint32_t SecretSearch::overwritten_by(std::string SecretEntry::* target,
                                           std::string_view name) const {
  for (std::uint32_t i = 0; i < scratch_.active.size(); ++i) {
    const std::string& own = entry(i).*target;
    if (own.empty()) continue;
    const bool same = target == &SecretEntry::header ? iequals(own, name) : own == name;
    if (same) return i;
  }
  return UINT32_MAX;
}

/// All occurrences, overlapping ones too, of the tokens of the entries that admit(active) lets
/// through.
template <class Admit>
void SecretSearch::collect(std::string_view text, Admit admit) {
  scratch_.hits.clear();
  if (replacing_ > kFewTokens) {
    tokens_.find_all(text, [&](std::size_t begin, std::uint32_t token) {
      for (std::uint32_t i = scratch_.first_active[token]; i != 0;
           i = scratch_.active[i - 1].next) {
        if (admit(i - 1)) scratch_.hits.push_back({begin, tokens_.token(token).size(), i - 1});
      }
    });
    return;
  }
  for (std::uint32_t i = 0; i < scratch_.active.size(); ++i) {
    const std::string& token = entry(i).token;
    if (token.empty() || !admit(i)) continue;
    for (std::size_t at = find_token(text, token, 0); at != std::string_view::npos;
         at = find_token(text, token, at + 1)) {
      scratch_.hits.push_back({at, token.size(), i});
    }
  }
}

/// Leaves the hits that stand, in order, and marks their entries.
bool SecretSearch::resolve(const std::vector<Substitution>* taken) {
  auto& hits = scratch_.hits;
  std::sort(hits.begin(), hits.end(), [](const Scratch::Hit& a, const Scratch::Hit& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.active < b.active;
  });
  std::size_t kept = 0, end = 0, next_taken = 0;
  for (const Scratch::Hit hit : hits) {
    if (hit.begin < end) continue;
    if (taken != nullptr) {
      while (next_taken < taken->size() &&
             (*taken)[next_taken].begin + (*taken)[next_taken].length <= hit.begin) {
        ++next_taken;
      }
      if (next_taken < taken->size() && (*taken)[next_taken].begin < hit.begin + hit.length)
        continue;
    }
    end = hit.begin + hit.length;
    scratch_.active[hit.active].hit = true;
    hits[kept++] = hit;
  }
  hits.resize(kept);
  return kept > 0;
}

void SecretSearch::write_hits(std::vector<Substitution>& parts) const {
  const bool merge = !parts.empty();
  for (const Scratch::Hit& hit : scratch_.hits) {
    parts.push_back({hit.begin, hit.length, scratch_.active[hit.active].value});
  }
  if (merge) sort_parts(parts);
}

void SecretSearch::sort_parts(std::vector<Substitution>& parts) {
  std::sort(parts.begin(), parts.end(),
            [](const Substitution& a, const Substitution& b) { return a.begin < b.begin; });
}

void SecretSearch::note_places(Place place, std::size_t index) {
  const std::size_t from = scratch_.locations.size();
  for (const Scratch::Hit& hit : scratch_.hits) {
    const auto begin = scratch_.locations.begin() + static_cast<std::ptrdiff_t>(from);
    if (std::any_of(begin, scratch_.locations.end(),
                    [&](const Scratch::Location& known) { return known.active == hit.active; })) {
      continue;
    }
    Scratch::Location location{place, hit.active, 0, index};
    const SecretEntry& at = entry(hit.active);
    if (place == Place::header && !at.match_headers.empty()) {
      location.rank =
          at.match_headers.find(exchange_.request.headers.all()[index].name).value_or(0);
    }
    scratch_.locations.push_back(location);
  }
}

void SecretSearch::search_fields() {
  const std::size_t count = exchange_.request.headers.size();
  for (std::size_t i = 0; i < count; ++i) search_field(i);
}

void SecretSearch::search_field(std::size_t index) {
  Field& field = exchange_.request.headers.all()[index];
  if (is_outside_field_set(field.name) || iequals(field.name, "Content-Length")) return;
  const FieldRewrite* known =
      field.rewrite == 0 ? nullptr : &exchange_.field_rewrites[field.rewrite - 1];
  if (known != nullptr && known->kind == FieldRewrite::Kind::whole) return;
  const std::uint32_t before =
      injects_header_ ? overwritten_by(&SecretEntry::header, field.name) : UINT32_MAX;
  const auto admit = [&](std::uint32_t active) {
    const HeaderMatcher& names = entry(active).match_headers;
    return active < before && (names.empty() || names.find(field.name));
  };

  std::string_view text = field.value;
  bool basic = known != nullptr && known->kind == FieldRewrite::Kind::basic;
  if (basic) {
    text = known->decoded;
  } else if (known == nullptr && iequals(field.name, "Authorization") &&
             starts_with_basic(field.value) &&
             decode_base64(field.value.substr(kBasic.size()), scratch_.text)) {
    basic = true;
    text = scratch_.text;
  }
  collect(text, admit);
  if (scratch_.hits.empty() || !resolve(known == nullptr ? nullptr : &known->parts)) return;
  if (purpose_ == Purpose::probe) return;

  note_places(Place::header, index);
  FieldRewrite& rewrite = exchange_.rewrite_of(field);
  if (known == nullptr && basic) {
    rewrite.kind = FieldRewrite::Kind::basic;
    rewrite.decoded = text;
  }
  write_hits(rewrite.parts);
  if (!rewrite.spelling.empty()) return;
  const auto first =
      std::min_element(scratch_.hits.begin(), scratch_.hits.end(),
                       [](const auto& a, const auto& b) { return a.active < b.active; });
  const HeaderMatcher& names = entry(first->active).match_headers;
  if (!names.empty()) rewrite.spelling = names.literal(names.find(field.name).value_or(0));
}

void SecretSearch::search_query() {
  const std::string_view query = exchange_.raw_query;
  for (std::size_t begin = 0; begin < query.size();) {
    const std::size_t end = std::min(query.find('&', begin), query.size());
    if (end > begin) search_pair(query.substr(begin, end - begin), begin);
    begin = end + 1;
  }
}

/// Only what holds a token in its raw form is looked at; the hits themselves are in the decoded
/// value.
void SecretSearch::search_pair(std::string_view pair, std::size_t begin) {
  const QueryRewrite* known = exchange_.find_rewrite_of_pair(begin);
  if (known != nullptr && known->kind != QueryRewrite::Kind::substitute) return;

  collect(pair, [&](std::uint32_t active) { return entry(active).match_query; });
  if (scratch_.hits.empty()) return;
  auto& seen = scratch_.rules;
  seen.clear();
  for (const Scratch::Hit& hit : scratch_.hits) {
    if (seen.empty() || seen.back() != hit.active) seen.push_back(hit.active);
  }
  const std::size_t equals = pair.find('=');
  if (equals == std::string_view::npos || !decode_form(pair.substr(0, equals), scratch_.text))
    return;
  const std::uint32_t before =
      injects_query_ ? overwritten_by(&SecretEntry::query_param, scratch_.text) : UINT32_MAX;
  if (!decode_form(pair.substr(equals + 1), scratch_.text)) return;
  collect(scratch_.text, [&](std::uint32_t active) {
    return active < before && std::find(seen.begin(), seen.end(), active) != seen.end();
  });
  if (scratch_.hits.empty() || !resolve(known == nullptr ? nullptr : &known->parts)) return;
  if (purpose_ == Purpose::probe) return;

  note_places(Place::query, begin);
  QueryRewrite& rewrite = exchange_.rewrite_of_pair(begin);
  if (known == nullptr) {
    rewrite.length = pair.size();
    rewrite.value_begin = begin + equals + 1;
    rewrite.decoded = scratch_.text;
  }
  write_hits(rewrite.parts);
}

void SecretSearch::search_path() {
  collect(exchange_.path, [&](std::uint32_t active) { return entry(active).match_path; });
  if (scratch_.hits.empty() || !resolve(&exchange_.path_parts)) return;
  if (purpose_ == Purpose::probe) return;
  note_places(Place::path, 0);
  write_hits(exchange_.path_parts);
}

void SecretSearch::search_body() {
  if (!exchange_.body.present || exchange_.body.bytes.empty()) return;
  collect(exchange_.body.bytes, [&](std::uint32_t active) { return entry(active).match_body; });
  if (scratch_.hits.empty() || !resolve(&exchange_.body.parts)) return;
  if (purpose_ == Purpose::probe) return;
  note_places(Place::body, 0);
  write_body_hits();
}

/// The value is put in as its surroundings write it, or it would end them.
void SecretSearch::write_body_hits() {
  const BodyCoding coding = body_coding(exchange_.request.headers);
  JsonStrings strings(exchange_.body.bytes);
  std::vector<Substitution>& parts = exchange_.body.parts;
  const bool merge = !parts.empty();
  for (const Scratch::Hit& hit : scratch_.hits) {
    const Secret& value = *scratch_.active[hit.active].value;
    const Secret* coded = &scratch_.active[hit.active].forms->in_body(coding);
    const bool stays =
        coding == BodyCoding::json && coded != &value && !strings.hold(hit.begin, hit.length);
    parts.push_back({hit.begin, hit.length, stays ? &value : coded});
  }
  if (merge) sort_parts(parts);
}

}  // namespace iron::transforms
