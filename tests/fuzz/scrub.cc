// The input is the values of a set, a line feed and a stream. Behind a value may stand what a
// formatter made of it and the payload of a Basic credential, each after a unit separator (0x1f);
// another value follows after a record separator (0x1e). A plain search says where forms of them
// are. What leaves the filter is the stream with these places replaced, each by the token in the
// place's own coding, and nothing else; it holds no form, and it does not depend on how the stream
// is cut.
#include "transforms/scrub/scrub.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/scrub_replaced.h"

namespace iron::fuzz {
namespace {

using namespace iron::transforms;
using namespace scrub_model;

constexpr std::size_t kLongest = 2048;  // the plain search is slow

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
