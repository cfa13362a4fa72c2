#include "transforms/sources/call_parts.h"

#include <algorithm>
#include <charconv>
#include <memory>

#include "policy/match/host.h"
#include "policy/quote.h"
#include "policy/utf8.h"
#include "transforms/encoding.h"
#include "transforms/scrub_forms.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kMostTold = 256;
constexpr std::size_t kShortestCoded = 4;

Secret lower_hex(std::string_view bytes) {
  Secret out = Secret::sized(bytes.size() * 2);
  put_hex(out.writable().data(), bytes);
  return out;
}

bool contains(std::string_view text, std::string_view part) {
  return !part.empty() && text.find(part) != text.npos;
}

}  // namespace

Secret joined(std::initializer_list<std::string_view> texts) {
  std::size_t size = 0;
  for (const std::string_view text : texts) size += text.size();
  Secret out = Secret::sized(size);
  char* at = out.writable().data();
  for (const std::string_view text : texts) at = put(at, text);
  return out;
}

SecretPtr bearer(const Secret& token) {
  return std::make_shared<const Secret>(joined({"Bearer ", token.reveal()}));
}

bool shows_in_code(std::string_view text, const Secret& key) {
  if (key.size() < kShortestCoded) return false;
  std::string standard(text);
  std::ranges::replace(standard, '-', '+');
  std::ranges::replace(standard, '_', '/');
  const std::string lower = policy::ascii_lower(text);
  const ScrubForms forms(key);
  return std::ranges::any_of(forms.all(), [&](const ScrubForms::Form& form) {
    if (form.kind == ScrubForms::Kind::text) return false;
    if (form.kind == ScrubForms::Kind::hex) return contains(lower, lower_hex(form.bytes).reveal());
    // What a character shares with the key's neighbours is theirs.
    const std::string_view own = form.bytes.substr(form.lead_free != 0 ? 1 : 0);
    return contains(standard, own.substr(0, own.size() - (form.trail_free != 0 ? 1 : 0)));
  });
}

bool holds_a_key(std::string_view text, const std::vector<SecretPtr>& keys) {
  return std::ranges::any_of(keys, [&](const SecretPtr& key) {
    return key != nullptr && (contains(text, key->reveal()) || shows_in_code(text, *key));
  });
}

std::string told(std::string_view text, const std::vector<SecretPtr>& keys) {
  std::string out;
  if (holds_a_key(text, keys)) return out;
  while (!text.empty()) {
    const std::size_t length = policy::utf8_sequence(text);
    const std::size_t taken = std::max<std::size_t>(length, 1);
    if (out.size() + taken > kMostTold) break;
    const auto first = static_cast<unsigned char>(text.front());
    const bool shown = length > 0 && (first >= 0x20 || first == '\n') && first != 0x7F;
    if (shown) {
      out += text.substr(0, taken);
    } else {
      out += '?';
    }
    text.remove_prefix(taken);
  }
  return out;
}

std::string path_part(std::string_view text) {
  std::string out(3 * text.size(), '\0');
  out.resize(static_cast<std::size_t>(put_path_encoded(out.data(), text) - out.data()));
  return out;
}

std::string query_value(std::string_view text) {
  std::string out(3 * text.size(), '\0');
  out.resize(static_cast<std::size_t>(put_form_encoded(out.data(), text) - out.data()));
  return out;
}

std::string joined_by(char between, const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) {
    if (!out.empty()) out += between;
    out += text;
  }
  return out;
}

std::string call_error(const CallRequest& request, const Error& error) {
  const char* word = request.method == "GET" ? "Get " : "Post ";
  return word + policy::quoted(request.url) + ": " + error.text;
}

std::int64_t retry_after_seconds(const CallAnswer& answer) {
  const std::string_view text = answer.field("Retry-After");
  std::int64_t seconds = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && seconds >= 0 ? seconds : -1;
}

}  // namespace iron::transforms
