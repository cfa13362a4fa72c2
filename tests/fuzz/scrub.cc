// The input is the values of a set, a line feed and a stream. Behind a value may stand what a
// formatter made of it and the payload of a Basic credential, each after a unit separator (0x1f);
// another value follows after a record separator (0x1e). A plain search says where forms of them
// are. What leaves the filter is the stream with these places replaced, and nothing else; it holds
// no form, and it does not depend on how the stream is cut.
#include "transforms/scrub.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

namespace iron::fuzz {
namespace {

using namespace iron::transforms;
using Kind = ScrubForms::Kind;

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

/// How `text` can begin with a spelling of what `wanted` begins with (docs/secrets.md, "Answers"):
/// calls `each(characters, bytes)` for all ways.
template <class Each>
void each_spelling(std::string_view text, std::string_view wanted, Kind kind, Each each) {
  if (text.empty()) return;
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

/// Calls `each(end)` for the ends of all spellings of `wanted` that begin at `begin`.
template <class Each>
void each_end(
    std::string_view text, std::size_t begin, std::string_view wanted, Kind kind, Each each) {
  std::set<std::pair<std::size_t, std::size_t>> open;  // bytes that are spelled, and up to where
  const auto go_on = [&](std::size_t spelled, std::size_t at) {
    each_spelling(text.substr(at), wanted.substr(spelled), kind,
                  [&](std::size_t characters, std::size_t bytes) {
                    open.emplace(spelled + bytes, at + characters);
                  });
  };
  go_on(0, begin);
  while (!open.empty()) {
    const auto [spelled, at] = *open.begin();
    open.erase(open.begin());
    if (spelled == wanted.size()) {
      each(at);
    } else {
      go_on(spelled, at);
    }
  }
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

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  while (!text.empty() && kBlanks.find(text.front()) != kBlanks.npos) text.remove_prefix(1);
  while (!text.empty() && kBlanks.find(text.back()) != kBlanks.npos) text.remove_suffix(1);
  return text;
}

bool is_basic(std::string_view text) {
  constexpr std::string_view kScheme = "basic ";
  return std::ranges::equal(text.substr(0, kScheme.size()), kScheme, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? a | 0x20 : a) == b;
  });
}

struct Form {
  Kind kind;
  std::string bytes;
  std::size_t entry;
};

/// A value with all that comes of it.
class Entry {
 public:
  Entry(std::string_view text, std::size_t number)
      : value_(take(text)),
        sent_(take(text)),
        number_(number),
        forms_(sent_.empty() ? ScrubForms(value_) : ScrubForms(value_, sent_)),
        payload_(ScrubForms::basic(take(text))) {}

  void add_to(ScrubSet& set, std::string_view token, ScrubResponses mode) const {
    set.add(forms_, token, mode);
    set.add(payload_, token, mode);
  }

  /// What is to be looked for, read from docs/secrets.md; the product knows the same.
  void append_forms(std::vector<Form>& out) const {
    std::vector<Form> forms;
    const std::string value(trimmed(value_.reveal()));
    if (!value.empty()) forms.push_back({Kind::text, value, number_});
    if (value.size() >= 4) {
      forms.push_back({Kind::hex, value, number_});
      for (std::size_t before = 0; before < 3; ++before) {
        forms.push_back({Kind::base64, inner_base64(value, before), number_});
      }
    }
    const std::string_view sent = trimmed(sent_.reveal());
    const bool shown = !value.empty() && sent.find(value) != sent.npos;
    if (is_basic(sent) && !shown) {
      if (sent.size() > 6) forms.push_back({Kind::base64, std::string(sent.substr(6)), number_});
    } else if (!sent.empty() && !shown) {
      forms.push_back({Kind::text, std::string(sent), number_});
    }
    const auto same = [](const Form& a, const ScrubForms::Form& b) {
      return a.kind == b.kind && a.bytes == b.bytes;
    };
    FUZZ_CHECK(std::ranges::equal(forms, forms_.all(), same));
    for (const ScrubForms::Form& form : payload_.all()) {
      forms.push_back({form.kind, std::string(form.bytes), number_});
    }
    out.insert(out.end(), forms.begin(), forms.end());
  }

 private:
  static Secret take(std::string_view& text) {
    const std::size_t end = std::min(text.find('\x1f'), text.size());
    Secret taken = Secret::copy_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    return taken;
  }

  Secret value_, sent_;
  std::size_t number_;
  ScrubForms forms_, payload_;
};

/// A place in a stream that holds a form, or several that overlap.
struct Place {
  std::size_t begin, end, form, entry;
};

/// All places, in the order of their begins, then the longest first, then by form.
std::vector<Place> places_of(std::string_view stream, const std::vector<Form>& forms) {
  std::vector<Place> places;
  for (std::size_t i = 0; i < forms.size(); ++i) {
    const Form& form = forms[i];
    for (std::size_t at = 0; at < stream.size(); ++at) {
      each_end(stream, at, form.bytes, form.kind,
               [&](std::size_t end) { places.push_back({at, end, i, form.entry}); });
    }
  }
  std::ranges::sort(places, [](const Place& a, const Place& b) {
    return std::tie(a.begin, b.end, a.form) < std::tie(b.begin, a.end, b.form);
  });
  return places;
}

/// What the filter makes of the stream's bytes before `until`: places that overlap are one, which
/// belongs to the one that starts first.
std::string replaced(std::string_view stream,
                     const std::vector<Place>& places,
                     std::size_t until,
                     const std::function<std::string(std::size_t)>& token) {
  std::string out;
  std::size_t at = 0;  // behind the place before
  for (const Place& place : places) {
    if (place.begin >= until) break;
    if (place.begin >= at) {
      out.append(stream.substr(at, place.begin - at)).append(token(place.entry));
    }
    at = std::max(at, place.end);
  }
  if (at < until) out.append(stream.substr(at, until - at));
  return out;
}

struct Filtered {
  std::string out;
  bool hit = false, open = true;
  bool operator==(const Filtered&) const = default;
};

Filtered filter(ScrubFilter& filter,
                const ScrubSet& set,
                std::string_view stream,
                std::size_t cut,
                std::size_t step) {
  Filtered filtered;
  filter.restart();
  std::size_t end = cut;
  for (std::size_t at = 0; filtered.open && at < stream.size(); at = end, end += step) {
    filtered.open = filter.feed(stream.substr(at, end - at), filtered.out);
    if (filtered.open)
      FUZZ_CHECK(filter.kept_back() + 1 <= std::max<std::size_t>(set.longest(), 1));
  }
  const std::string before = filtered.out;
  FUZZ_CHECK(filter.blocked() != filtered.open);
  if (!filtered.open) FUZZ_CHECK(!filter.feed(stream, filtered.out));
  filter.finish(filtered.out);
  FUZZ_CHECK(filtered.open || filtered.out == before);
  FUZZ_CHECK(filter.kept_back() == 0);
  filtered.hit = filter.hit();
  return filtered;
}

/// One input: the values, their forms, and where these are in the stream.
class Case {
 public:
  Case(std::string_view values, std::string_view stream, char mark) : stream_(stream), mark_(mark) {
    Cutter cutter(values);
    do {
      entries_.emplace_back(cutter.text('\x1e'), entries_.size());
    } while (!cutter.rest().empty() && entries_.size() < 3);
    for (const Entry& entry : entries_) entry.append_forms(forms_);
    places_ = places_of(stream_, forms_);
  }

  /// Everything is replaced by its token, which nothing can form across.
  void check_replacing() const {
    const auto token = [&](std::size_t entry) { return std::string(3 + entry, mark_); };
    ScrubSet set;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      // The set keeps a view of the token.
      entries_[i].add_to(set, tokens_.emplace_back(token(i)), ScrubResponses::on);
    }
    set.seal();
    FUZZ_CHECK(set.empty() == forms_.empty() && set.replaces() && !set.blocks());
    const Filtered wanted{replaced(stream_, places_, stream_.size(), token), !places_.empty()};
    ScrubFilter one(set);
    FUZZ_CHECK(filter(one, set, stream_, stream_.size(), 1) == wanted);
    FUZZ_CHECK(filter(one, set, stream_, 1, 1) == wanted);
    for (const std::size_t cut : cuts(stream_)) {
      FUZZ_CHECK(filter(one, set, stream_, cut, stream_.size() + 1) == wanted);
    }
    FUZZ_CHECK(places_of(wanted.out, forms_).empty());
  }

  /// No token, or one that can not stand in a field: a text of its own.
  void check_nameless() const {
    ScrubSet set;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      entries_[i].add_to(set, i == 0 ? "" : "a\tb", ScrubResponses::on);
    }
    set.seal();
    ScrubFilter one(set);
    FUZZ_CHECK(
        filter(one, set, stream_, stream_.size() / 2, 1).out ==
        replaced(stream_, places_, stream_.size(), [](std::size_t) { return "[redacted]"; }));
  }

  /// Entries from `first` on block: nothing of their places leaves, nor what is behind.
  void check_blocking(std::size_t first) const {
    const auto token = [&](std::size_t entry) { return std::string(3 + entry, mark_); };
    ScrubSet set;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      entries_[i].add_to(set, tokens_.emplace_back(token(i)),
                         i < first ? ScrubResponses::on : ScrubResponses::block);
    }
    set.seal();
    FUZZ_CHECK(set.blocks() && set.replaces() == (first > 0));
    const Place* stop = nullptr;  // the first that is complete
    for (const Place& place : places_) {
      if (place.entry >= first && (stop == nullptr || place.end < stop->end)) stop = &place;
    }
    const std::string allowed =
        replaced(stream_, places_, stop == nullptr ? stream_.size() : stop->begin, token);
    ScrubFilter one(set);
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, stream_.size() + 1}) {
      const Filtered filtered = filter(one, set, stream_, step, step);
      FUZZ_CHECK(filtered.open == (stop == nullptr));
      FUZZ_CHECK(filtered.open ? filtered.out == allowed : allowed.starts_with(filtered.out));
    }
  }

  std::size_t entries() const { return entries_.size(); }

 private:
  std::string_view stream_;
  char mark_;
  std::vector<Entry> entries_;
  std::vector<Form> forms_;
  std::vector<Place> places_;
  mutable std::deque<std::string> tokens_;
};

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(scrub) {
  if (input.size() > kLongest) return;
  Cutter cutter(input);
  const std::string_view values = cutter.text();
  // Each of a row of backslashes can be one in the stream, or two: there are many ways to read
  // them.
  const auto slashes = static_cast<std::size_t>(std::ranges::count(values, '\\'));
  if (slashes * slashes * cutter.rest().size() > 65536) return;
  // A token of a character that no spelling of a value has.
  const std::size_t mark = std::string_view("~|^").find_first_not_of(values);
  if (mark == std::string_view::npos) return;
  const Case at(values, cutter.rest(), "~|^"[mark]);
  at.check_replacing();
  at.check_nameless();
  at.check_blocking(0);
  if (at.entries() > 1) at.check_blocking(at.entries() - 1);
}
