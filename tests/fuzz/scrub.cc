// The input is a value, a line feed and a stream. What leaves the filter holds the value in no
// form that is looked for, is the stream itself where it held none, and does not depend on how the
// stream is cut. A plain backtracking search says what is a form.
#include "transforms/scrub.h"

#include <algorithm>
#include <string>

#include "tests/fuzz/fuzz_target.h"

namespace iron::fuzz {
namespace {

using namespace iron::transforms;

constexpr std::size_t kLongest = 2048;  // the plain search is slow

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// The number that `count` hex digits at `at` say, or -1.
int number_at(std::string_view text, std::size_t at, std::size_t count) {
  if (at > text.size() || text.size() - at < count) return -1;
  int value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const int next = digit(text[at + i]);
    if (next < 0) return -1;
    value = value * 16 + next;
  }
  return value;
}

std::string utf8(unsigned code) {
  const auto tail = [&](unsigned shift) {
    return static_cast<char>(0x80 | (code >> shift & 0x3F));
  };
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x800) return {static_cast<char>(0xC0 | code >> 6), tail(0)};
  if (code < 0x10000) return {static_cast<char>(0xE0 | code >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | code >> 18), tail(12), tail(6), tail(0)};
}

enum class Alphabet { text, base64 };

/// `wanted` stands at `at` of `text`, spelled in any of the ways of docs/secrets.md.
bool spelled_at(std::string_view text, std::size_t at, std::string_view wanted, Alphabet alphabet) {
  if (wanted.empty()) return true;
  if (at >= text.size()) return false;
  const char want = wanted.front(), have = text[at];
  const auto rest = [&](std::size_t characters, std::size_t bytes) {
    return spelled_at(text, at + characters, wanted.substr(bytes), alphabet);
  };
  const bool other = alphabet == Alphabet::text
                         ? want == ' ' && have == '+'
                         : (want == '+' && have == '-') || (want == '/' && have == '_');
  if ((have == want || other) && rest(1, 1)) return true;
  const bool plain = (want >= '0' && want <= '9') || ((want | 0x20) >= 'a' && (want | 0x20) <= 'z');
  if (alphabet == Alphabet::base64 && plain) return false;
  const auto byte = static_cast<unsigned char>(want);
  if (have == '%') return number_at(text, at + 1, 2) == byte && rest(3, 1);
  if (have != '\\' || at + 1 >= text.size()) return false;
  constexpr std::string_view kLetters = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
  const std::size_t letter = kLetters.find(text[at + 1]);
  if (letter != kLetters.npos) return kMeant[letter] == want && rest(2, 1);
  if (text[at + 1] != 'u') return false;
  const int unit = number_at(text, at + 2, 4);
  if (unit < 0) return false;
  if (unit == byte && rest(6, 1)) return true;
  const int low =
      text.substr(std::min(at + 6, text.size()), 2) == "\\u" ? number_at(text, at + 8, 4) : -1;
  const auto code = static_cast<unsigned>(unit);
  if (code >= 0xD800 && code < 0xDC00 && low >= 0xDC00 && low < 0xE000) {
    const std::string pair =
        utf8(0x10000 + ((code - 0xD800) << 10) + static_cast<unsigned>(low - 0xDC00));
    if (wanted.starts_with(pair) && rest(12, pair.size())) return true;
  }
  const std::string one = utf8(code);
  return code >= 0x80 && wanted.starts_with(one) && rest(6, one.size());
}

/// Characters of the base64 text of anything around `value` that depend on `value` alone.
std::string inner_base64(std::string_view value, std::size_t before) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto bit = [&](std::size_t i) {
    return static_cast<unsigned>(static_cast<unsigned char>(value[i / 8]) >> (7 - i % 8) & 1);
  };
  std::string out;
  for (std::size_t first = 0; first + 6 <= (before + value.size()) * 8; first += 6) {
    if (first < before * 8) continue;
    unsigned index = 0;
    for (std::size_t i = first; i < first + 6; ++i) index = index * 2 + bit(i - before * 8);
    out += kAlphabet[index];
  }
  return out;
}

bool shows(std::string_view text, std::string_view value) {
  std::string hex;
  for (const char c : value) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<unsigned char>(c) >> 4];
    hex += kDigits[static_cast<unsigned char>(c) & 15];
  }
  const std::string encoded[] = {inner_base64(value, 0), inner_base64(value, 1),
                                 inner_base64(value, 2)};
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (spelled_at(text, at, value, Alphabet::text)) return true;
    if (value.size() < 4) continue;
    for (const std::string& form : encoded) {
      if (spelled_at(text, at, form, Alphabet::base64)) return true;
    }
    const std::string_view digits = text.substr(at, hex.size());
    if (std::ranges::equal(digits, hex, [](char a, char b) {
          return a == b || (a >= 'A' && a <= 'F' && (a | 0x20) == b);
        })) {
      return true;
    }
  }
  return false;
}

struct Filtered {
  std::string out;
  bool hit = false;
  bool operator==(const Filtered&) const = default;
};

Filtered filter(const ScrubSet& set, std::string_view stream, std::size_t cut, std::size_t step) {
  ScrubFilter filter(set);
  Filtered filtered;
  FUZZ_CHECK(filter.feed(stream.substr(0, cut), filtered.out));
  for (std::size_t at = cut; at < stream.size(); at += step) {
    FUZZ_CHECK(filter.feed(stream.substr(at, step), filtered.out));
    FUZZ_CHECK(filter.kept_back() + 1 <= std::max<std::size_t>(set.longest(), 1));
  }
  filter.finish(filtered.out);
  filtered.hit = filter.hit();
  return filtered;
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(scrub) {
  if (input.size() > kLongest) return;
  Cutter cutter(input);
  const std::string_view line = cutter.text();
  const std::string_view stream = cutter.rest();
  const Secret value = Secret::copy_of(line);
  // A token of a character that no spelling of the value has: nothing can form across it.
  const std::size_t mark = std::string_view("~|^").find_first_not_of(line);
  if (mark == std::string_view::npos) return;
  const std::string token(3, "~|^"[mark]);
  const ScrubForms forms(value);
  ScrubSet set;
  set.add(forms, token, ScrubResponses::on);
  set.seal();

  const Filtered whole = filter(set, stream, stream.size(), 1);
  FUZZ_CHECK(filter(set, stream, 0, 1) == whole);
  for (const std::size_t cut : cuts(stream)) {
    FUZZ_CHECK(filter(set, stream, cut, stream.size() + 1) == whole);
  }
  if (!whole.hit) FUZZ_CHECK(whole.out == stream);
  if (set.empty()) {
    FUZZ_CHECK(!whole.hit);
    return;
  }
  const std::string_view looked_for = forms.all().front().bytes;
  FUZZ_CHECK(whole.hit == shows(stream, looked_for));
  FUZZ_CHECK(!shows(whole.out, looked_for));

  // With `block` nothing of an occurrence leaves.
  ScrubSet blocking;
  blocking.add(forms, token, ScrubResponses::block);
  blocking.seal();
  ScrubFilter blocks(blocking);
  std::string out;
  bool open = true;
  for (std::size_t at = 0; at < stream.size() && open; ++at)
    open = blocks.feed(stream.substr(at, 1), out);
  if (open) blocks.finish(out);
  FUZZ_CHECK(open == !whole.hit);
  FUZZ_CHECK(stream.starts_with(out));
  FUZZ_CHECK(!shows(out, looked_for));
}
