#include "tests/fuzz/scrub_places.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace iron::fuzz::scrub_model {
namespace {

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

/// How `text` can begin with a spelling of what `wanted` begins with (docs/secrets.md, "Answers"):
/// calls `each(characters, bytes, written)` for all ways.
template <class Each>
void each_spelling(std::string_view text, std::string_view wanted, Kind kind, Each each_way) {
  if (text.empty()) return;
  const auto each = [&](std::size_t characters, std::size_t bytes) {
    Written written;
    const std::string_view way = text.substr(0, characters);
    if (kind == Kind::hex) {
      written.coding.lower = way.find_first_of("abcdef") != way.npos;
      written.coding.upper = way.find_first_of("ABCDEF") != way.npos;
    } else if (characters == 1) {
      written.coding.url = kind == Kind::base64 && way.front() != wanted.front();
    } else {
      (way.front() == '%' ? written.coding.percent : written.coding.json) = true;
    }
    each_way(characters, bytes, written);
  };
  const char want = wanted.front(), have = text.front();
  const auto byte = static_cast<unsigned char>(want);
  if (kind == Kind::hex) {
    if (number_at(text, 0, 2) == byte) each(2, 1);
    return;
  }
  const bool other = kind == Kind::text
                         ? want == ' ' && have == '+'
                         : (want == '+' && have == '-') || (want == '/' && have == '_');
  if (have == want || other) each(1, 1);
  const bool plain = (want >= '0' && want <= '9') || ((want | 0x20) >= 'a' && (want | 0x20) <= 'z');
  if (kind == Kind::base64 && plain) return;
  if (have == '%' && number_at(text, 1, 2) == byte) each(3, 1);
  if (have != '\\' || text.size() < 2) return;
  constexpr std::string_view kLetters = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
  const std::size_t letter = kLetters.find(text[1]);
  if (letter != kLetters.npos && kMeant[letter] == want) each(2, 1);
  const int unit = text[1] == 'u' ? number_at(text, 2, 4) : -1;
  if (unit < 0) return;
  if (unit == byte) each(6, 1);
  const int low =
      text.substr(std::min<std::size_t>(6, text.size()), 2) == "\\u" ? number_at(text, 8, 4) : -1;
  const auto code = static_cast<unsigned>(unit);
  if (code >= 0xD800 && code < 0xDC00 && low >= 0xDC00 && low < 0xE000) {
    const std::string pair =
        utf8(0x10000 + ((code - 0xD800) << 10) + static_cast<unsigned>(low - 0xDC00));
    if (wanted.starts_with(pair)) each(12, pair.size());
  }
  const std::string one = utf8(code);
  if (code >= 0x80 && wanted.starts_with(one)) each(6, one.size());
}

/// The same for a base64 character of which only the bits of `own` are known.
template <class Each>
void each_shared(std::string_view text, char wanted, unsigned own, Each each) {
  const auto fits = [&](int character) {
    const int number = base64_number(character);
    return number >= 0 && ((number ^ base64_number(wanted)) & static_cast<int>(own)) == 0;
  };
  if (text.empty()) return;
  Written written;
  const char have = text.front();
  if (fits(have)) {
    written.coding.url = have == '-' || have == '_';
    written.lead = written.trail = static_cast<unsigned>(base64_number(have));
    each(1, 1, written);
    return;
  }
  const auto [byte, length] = escape_at(text);
  if ((byte != '+' && byte != '/') || !fits(byte)) return;
  (have == '%' ? written.coding.percent : written.coding.json) = true;
  written.lead = written.trail = static_cast<unsigned>(base64_number(byte));
  each(length, 1, written);
}

/// Calls `each(end, written)` for the ends of all spellings of the form that begin at `begin`.
template <class Each>
void each_end(std::string_view text, std::size_t begin, const Form& form, Each each) {
  const std::string_view wanted = form.bytes;
  // Bytes that are spelled, and up to where.
  std::map<std::pair<std::size_t, std::size_t>, Written> open;
  const auto go_on = [&](std::size_t spelled, std::size_t at, const Written& before) {
    const auto step = [&](std::size_t characters, std::size_t bytes, const Written& own) {
      Written written = before;
      written.coding.add(own.coding);
      if (spelled == 0) written.lead = own.lead;
      written.trail = own.trail;
      const auto [known, is_new] = open.try_emplace({spelled + bytes, at + characters}, written);
      if (!is_new) known->second.add(written);
    };
    unsigned shared = 0;
    if (spelled == 0) shared |= 63U & ~(63U >> form.lead);
    if (spelled + 1 == wanted.size()) shared |= (1U << form.trail) - 1;
    if (shared != 0) {
      each_shared(text.substr(at), wanted[spelled], 63U & ~shared, step);
    } else {
      each_spelling(text.substr(at), wanted.substr(spelled), form.kind, step);
    }
  };
  go_on(0, begin, {});
  while (!open.empty()) {
    const auto [place, written] = *open.begin();
    open.erase(open.begin());
    if (place.first == wanted.size()) {
      each(place.second, written);
    } else {
      go_on(place.first, place.second, written);
    }
  }
}

}  // namespace

int base64_number(int character) {
  const std::size_t at =
      character < 0x80 && character > 0 ? kBase64.find(static_cast<char>(character)) : kBase64.npos;
  return at == kBase64.npos ? -1 : static_cast<int>(at < 64 ? at : at - 2);
}

std::pair<int, std::size_t> escape_at(std::string_view text) {
  if (text.starts_with("%")) return {number_at(text, 1, 2), 3};
  if (text.starts_with("\\/")) return {'/', 2};
  return {text.starts_with("\\u") ? number_at(text, 2, 4) : -1, 6};
}

std::vector<Place> places_of(std::string_view stream, const std::vector<Form>& forms) {
  std::vector<Place> places;
  for (std::size_t i = 0; i < forms.size(); ++i) {
    const Form& form = forms[i];
    for (std::size_t at = 0; at < stream.size(); ++at) {
      each_end(stream, at, form, [&](std::size_t end, const Written& written) {
        places.push_back({at, end, i, form.entry, written});
      });
    }
  }
  std::ranges::sort(places, [](const Place& a, const Place& b) {
    return std::tie(a.begin, b.end, a.form) < std::tie(b.begin, a.end, b.form);
  });
  return places;
}

}  // namespace iron::fuzz::scrub_model
