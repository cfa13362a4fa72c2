#include "transforms/auth/answer_quote.h"

#include <algorithm>
#include <array>

#include "transforms/sources/call_parts.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kShortestToken = 16;
constexpr std::size_t kLongestWord = 40;
constexpr std::string_view kStars = "***";
constexpr std::array<std::string_view, 7> kNamesOfTokens{
    "access_token",  "refresh_token", "id_token",   "assertion",
    "client_secret", "password",      "private_key"};

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
constexpr bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

constexpr bool in_token(char c) {
  return is_digit(c) || is_upper(c) || is_lower(c) ||
         std::string_view("-_.~+/=%").find(c) != std::string_view::npos;
}

/// `"id_token": …`, `\"id_token\":…`, `id_token=…`
bool names_a_token(std::string_view answer) {
  for (const std::string_view name : kNamesOfTokens) {
    for (std::size_t at = answer.find(name); at != answer.npos; at = answer.find(name, at + 1)) {
      const std::size_t behind = answer.find_first_not_of("\"\\' \t\r\n", at + name.size());
      if (behind != answer.npos && (answer[behind] == ':' || answer[behind] == '=')) return true;
    }
  }
  return false;
}

bool looks_like_a_token(std::string_view word) {
  if (word.size() < kShortestToken) return false;
  if (word.size() >= kLongestWord) return true;
  bool lower = false, upper = false;
  for (const char c : word) {
    if (is_digit(c)) return true;
    lower |= is_lower(c);
    upper |= is_upper(c);
  }
  return lower && upper;
}

/// Length of what was sent and stands at the front of `text`, or 0.
std::size_t sent_at(std::string_view text, std::span<const Secret* const> sent) {
  for (const Secret* secret : sent) {
    if (!secret->empty() && text.starts_with(secret->reveal())) return secret->size();
  }
  return 0;
}

}  // namespace

std::string quotable_answer(std::string_view answer, std::span<const Secret* const> sent) {
  if (names_a_token(answer)) return "(not shown: it names a token)";
  if (answer.find_first_of("\\%&") != answer.npos) return "(not shown: it has escapes)";
  // Escapes are no matter any more.
  const bool shown = std::ranges::any_of(
      sent, [&](const Secret* secret) { return shows_in_code(answer, *secret); });
  if (shown) return "(not shown: it repeats a credential)";
  std::string out;
  bool inside = false;  // of a word: what is sent may begin there too, a token begins at its front
  for (std::size_t at = 0; at < answer.size() && out.size() < kLongestAnswerQuote;) {
    if (const std::size_t length = sent_at(answer.substr(at), sent); length > 0) {
      out += kStars;
      at += length;
      inside = false;
      continue;
    }
    std::size_t end = at;
    while (!inside && end < answer.size() && in_token(answer[end])) ++end;
    if (looks_like_a_token(answer.substr(at, end - at))) {
      out += kStars;
      at = end;
      continue;
    }
    inside = in_token(answer[at]);
    out += answer[at++];
  }
  out.resize(std::min(out.size(), kLongestAnswerQuote));
  return out;
}

}  // namespace iron::transforms
