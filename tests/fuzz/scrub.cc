// The input is the values of a set, a line feed and a stream. Behind a value may stand what a
// formatter made of it and the payload of a Basic credential, each after a unit separator (0x1f);
// another value follows after a record separator (0x1e). A plain search says where forms of them
// are. What leaves the filter is the stream with these places replaced, each by the token in the
// place's own coding, and nothing else; it holds no form, and it does not depend on how the stream
// is cut.
#include "transforms/scrub.h"

#include <algorithm>
#include <cctype>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
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

struct Form {
  Kind kind;
  std::string bytes;
  std::size_t entry;
  unsigned lead = 0, trail = 0;  ///< free bits of the first and the last base64 character
  bool whole = false;
};

/// How a form is written in a stream, and what its free bits are there.
struct Written {
  Coding coding;
  unsigned lead = 0, trail = 0;

  void add(const Written& other) {
    coding.add(other.coding);
    lead = other.lead;
    trail = other.trail;
  }
};

std::string utf8(unsigned code) {
  const auto tail = [&](unsigned shift) {
    return static_cast<char>(0x80 | (code >> shift & 0x3F));
  };
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x800) return {static_cast<char>(0xC0 | code >> 6), tail(0)};
  if (code < 0x10000) return {static_cast<char>(0xE0 | code >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | code >> 18), tail(12), tail(6), tail(0)};
}

/// The byte that an escape at the begin of `text` stands for and its length; -1: none.
std::pair<int, std::size_t> escape_at(std::string_view text) {
  if (text.starts_with("%")) return {number_at(text, 1, 2), 3};
  if (text.starts_with("\\/")) return {'/', 2};
  return {text.starts_with("\\u") ? number_at(text, 2, 4) : -1, 6};
}

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_";

/// 0 to 63, or -1.
int base64_number(int character) {
  const std::size_t at =
      character < 0x80 && character > 0 ? kBase64.find(static_cast<char>(character)) : kBase64.npos;
  return at == kBase64.npos ? -1 : static_cast<int>(at < 64 ? at : at - 2);
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

/// Characters of the base64 text of anything around `value` that depend on `value`: all of them, or
/// those that depend on nothing else.
std::string inner_base64(std::string_view value, std::size_t before, bool all) {
  const std::size_t begin = before * 8, end = begin + value.size() * 8;
  const auto bit = [&](std::size_t i) {
    if (i < begin || i >= end) return 0U;
    const auto byte = static_cast<unsigned char>(value[(i - begin) / 8]);
    return static_cast<unsigned>(byte >> (7 - i % 8) & 1);
  };
  std::string out;
  for (std::size_t first = 0; first < end; first += 6) {
    const bool own = first >= begin && first + 6 <= end;
    if (!own && (!all || first + 6 <= begin)) continue;
    unsigned index = 0;
    for (std::size_t i = first; i < first + 6; ++i) index = index * 2 + bit(i);
    out += kBase64[index];
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
        const std::string own = inner_base64(value, before, false);
        const std::string all = inner_base64(value, before, true);
        if (own != all) forms.push_back({Kind::base64, own, number_});
        const auto trail = static_cast<unsigned>((6 - (before + value.size()) * 8 % 6) % 6);
        forms.push_back(
            {Kind::base64, all, number_, static_cast<unsigned>(before * 8 % 6), trail, true});
      }
    }
    const std::string_view sent = trimmed(sent_.reveal());
    const bool shown = !value.empty() && sent.find(value) != sent.npos;
    if (is_basic(sent) && !shown) {
      const std::string_view payload = sent.substr(6);
      const bool inside = std::ranges::any_of(forms, [&](const Form& form) {
        return form.kind == Kind::base64 && !form.whole && payload.find(form.bytes) != payload.npos;
      });
      if (!payload.empty() && !inside) {
        forms.push_back({Kind::base64, std::string(payload), number_, 0, 0, true});
      }
    } else if (!sent.empty() && !shown) {
      forms.push_back({Kind::text, std::string(sent), number_});
    }
    const auto same = [](const Form& a, const ScrubForms::Form& b) {
      return a.kind == b.kind && a.bytes == b.bytes && a.lead == b.lead_free &&
             a.trail == b.trail_free && a.whole == b.whole;
    };
    FUZZ_CHECK(std::ranges::equal(forms, forms_.all(), same));
    for (const ScrubForms::Form& form : payload_.all()) {
      forms.push_back({form.kind, std::string(form.bytes), number_, 0, 0, true});
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
  Written written;
};

/// All places, in the order of their begins, then the longest first, then by form.
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

/// Texts that a decoder reads as a row of bits, with the codings in which the answer has them.
class Base64Run {
 public:
  bool open = false;
  std::string* out = nullptr;

  void begin(const Form& form, const Written& written, std::string_view token) {
    const auto lead = written.lead >> (6 - form.lead);
    if (!open || (data_ + form.lead) % 8 != 0) {
      close();
      open = true;
      characters_ = form.lead / 2;
      data_ = 8 - form.lead;
    }
    coding_.add(written.coding);
    add(form.lead == 0 ? 0 : lead, form.lead);
    for (const char c : token) add(static_cast<unsigned char>(c), 8);
  }
  /// Behind the last place that overlaps.
  void end(const Form& form, const Written& written) {
    if (!open) return;
    if (form.kind != Kind::base64 || !form.whole) return close();
    add(written.trail & ((1U << form.trail) - 1), form.trail);
    padded_ = padded_ || form.bytes.ends_with('=');
  }
  /// Takes what belongs to the text; returns how many bytes.
  std::size_t read(std::string_view text) {
    std::size_t at = 0;
    while (open && at < text.size()) {
      const char c = text[at];
      const bool escaped = c == '%' || c == '\\';
      const auto [byte, length] =
          escaped ? escape_at(text.substr(at)) : std::pair<int, std::size_t>(c, 1);
      // What may yet be an escape is passed on as it is, but for that it is no part of the text.
      const int number = base64_number(byte);
      const bool part = byte == '=' || (number >= 0 && !padded_);
      if (!part) break;
      if (byte == '=') {
        padded_ = true;
      } else {
        coding_.url = coding_.url || byte == '-' || byte == '_';
        add(static_cast<unsigned>(number), 6);
      }
      if (escaped) (c == '%' ? coding_.percent : coding_.json) = true;
      at += length;
    }
    if (at < text.size()) close();
    return at;
  }
  void close() {
    if (!open) return;
    const std::size_t filling = data_ % 8 == 2 || data_ % 8 == 4 ? data_ % 8 : 0;
    const bool pads = padded_ || (data_ % 8 == 0 && !coding_.url);
    if (bits_.size() > filling) {
      bits_.resize(bits_.size() - filling);
      add(0, static_cast<unsigned>(6 - bits_.size()));
    }
    while (pads && characters_ % 4 != 0) put('=');
    std::string* const kept = out;
    *this = {};
    out = kept;
  }

 private:
  void add(unsigned value, unsigned count) {
    for (unsigned i = count; i-- > 0;) bits_.push_back((value >> i & 1) != 0);
    data_ += count;
    while (bits_.size() >= 6) {
      std::size_t number = 0;
      for (int i = 0; i < 6; ++i)
        number = number * 2 + (bits_[static_cast<std::size_t>(i)] ? 1 : 0);
      bits_.erase(bits_.begin(), bits_.begin() + 6);
      put(kBase64[number >= 62 && coding_.url ? number + 2 : number]);
    }
  }
  void put(char c) {
    ++characters_;
    const bool special = c == '+' || c == '/' || c == '=';
    if (special && coding_.percent) {
      out->append(c == '+' ? "%2B" : c == '/' ? "%2F" : "%3D");
    } else {
      out->append(c == '/' && coding_.json ? "\\/" : std::string(1, c));
    }
  }

  Coding coding_;
  bool padded_ = false;
  std::vector<bool> bits_;  ///< not yet a character
  std::size_t data_ = 0, characters_ = 0;
};

/// `token` where a form stood that is not part of a base64 text.
std::string coded(std::string_view token, const Form& form, const Coding& coding) {
  constexpr std::string_view kUnreserved = "-_.~";
  const char* digits = form.kind == Kind::hex && !(coding.upper && !coding.lower)
                           ? "0123456789abcdef"
                           : "0123456789ABCDEF";
  std::string out;
  for (const char c : token) {
    const auto byte = static_cast<unsigned char>(c);
    const std::string hex{digits[byte >> 4], digits[byte & 15]};
    const bool plain = std::isalnum(byte) != 0 || kUnreserved.find(c) != kUnreserved.npos;
    if (form.kind == Kind::hex) {
      out += hex;
    } else if (coding.percent && !plain) {
      out += "%" + hex;
    } else {
      out += (coding.json && !coding.percent && (c == '"' || c == '\\') ? "\\" : "") +
             std::string(1, c);
    }
  }
  return out;
}

struct Replaced {
  std::string text;
  std::vector<std::pair<std::size_t, std::size_t>> written;  ///< where tokens and recoded texts are
};

/// What the filter makes of the stream's bytes before `until`: places that overlap are one, which
/// belongs to the one that starts first and ends as the last one does. `ends`: the stream does.
Replaced replaced(std::string_view stream,
                  const std::vector<Place>& places,
                  const std::vector<Form>& forms,
                  std::size_t until,
                  bool ends,
                  const std::function<std::string(std::size_t)>& token) {
  Replaced result;
  std::string& out = result.text;
  Base64Run run;
  run.out = &out;
  std::size_t at = 0;  // behind the place before
  const Place* last = nullptr;
  const auto note = [&](std::size_t from) { result.written.emplace_back(from, out.size()); };
  const auto copy = [&](std::size_t end) {
    if (at >= end) return;
    const std::size_t from = out.size();
    if (last != nullptr) run.end(forms[last->form], last->written);
    last = nullptr;
    const std::string_view text = stream.substr(at, end - at);
    const std::size_t taken = run.read(text);
    note(from);
    out.append(text.substr(taken));
  };
  for (const Place& place : places) {
    if (place.begin >= until) break;
    if (place.begin >= at) {
      copy(place.begin);
      const std::size_t from = out.size();
      if (last != nullptr) run.end(forms[last->form], last->written);
      const Form& form = forms[place.form];
      if (form.kind == Kind::base64 && form.whole) {
        run.begin(form, place.written, token(place.entry));
      } else {
        run.close();
        out.append(coded(token(place.entry), form, place.written.coding));
      }
      note(from);
      last = &place;
      at = place.end;
    } else if (place.end > at) {
      last = &place;
      at = place.end;
    }
  }
  copy(until);
  if (ends) {
    const std::size_t from = out.size();
    if (last != nullptr) run.end(forms[last->form], last->written);
    run.close();
    note(from);
  }
  return result;
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
    const Replaced expected = replaced(stream_, places_, forms_, stream_.size(), true, token);
    const Filtered wanted{expected.text, !places_.empty()};
    ScrubFilter one(set);
    FUZZ_CHECK(filter(one, set, stream_, stream_.size(), 1) == wanted);
    FUZZ_CHECK(filter(one, set, stream_, 1, 1) == wanted);
    for (const std::size_t cut : cuts(stream_)) {
      FUZZ_CHECK(filter(one, set, stream_, cut, stream_.size() + 1) == wanted);
    }
    // A coded token may look like a value.
    for (const Place& left : places_of(wanted.out, forms_)) {
      FUZZ_CHECK(std::ranges::any_of(expected.written, [&](const auto& token_at) {
        return left.begin < token_at.second && token_at.first < left.end;
      }));
    }
  }

  /// No token, or one that can not stand in a field: a text of its own.
  void check_nameless() const {
    ScrubSet set;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      entries_[i].add_to(set, i == 0 ? "" : "a\tb", ScrubResponses::on);
    }
    set.seal();
    ScrubFilter one(set);
    FUZZ_CHECK(filter(one, set, stream_, stream_.size() / 2, 1).out ==
               replaced(stream_, places_, forms_, stream_.size(), true, [](std::size_t) {
                 return "[redacted]";
               }).text);
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
    // Nothing is put in place of what blocks, so what it shares with its neighbours does not count.
    std::vector<Place> places;
    std::ranges::copy_if(places_, std::back_inserter(places), [&](const Place& place) {
      const Form& form = forms_[place.form];
      return place.entry < first || (form.lead == 0 && form.trail == 0);
    });
    const Place* stop = nullptr;  // the first that is complete
    for (const Place& place : places) {
      if (place.entry >= first && (stop == nullptr || place.end < stop->end)) stop = &place;
    }
    const std::string allowed =
        replaced(stream_, places, forms_, stop == nullptr ? stream_.size() : stop->begin,
                 stop == nullptr, token)
            .text;
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
