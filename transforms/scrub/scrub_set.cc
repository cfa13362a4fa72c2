#include <algorithm>

#include "transforms/scrub/scrub.h"

namespace iron::transforms {
namespace {

using Kind = ScrubForms::Kind;

constexpr std::string_view kNameless = "[redacted]";
constexpr std::size_t kLongestSpelling = 6;  // of one byte: \u00xx

bool has_controls(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
}

}  // namespace

void ScrubSet::add(const ScrubForms& forms, std::string_view token, ScrubResponses mode) {
  const std::string_view shown = token.empty() || has_controls(token) ? kNameless : token;
  const bool blocks = mode == ScrubResponses::block;
  const auto known = [&](const ScrubForms::Form& form) {
    return std::ranges::find_if(forms_,
                                [&](const ScrubForms::Form& other) { return other == form; });
  };
  // All forms of a value are known if its first one is, hence one search.
  const bool new_value = forms.all().empty() || known(forms.all().front()) == forms_.end();
  for (const ScrubForms::Form& form : forms.all()) {
    // What is only needed to write another text would hold back characters in front of the value.
    if (blocks && (form.lead_free > 0 || form.trail_free > 0)) continue;
    const auto same = new_value ? forms_.end() : known(form);
    if (same == forms_.end()) {
      forms_.push_back({form, shown, blocks});
    } else {
      same->blocks = same->blocks || blocks;
    }
  }
  replaces_ = replaces_ || mode == ScrubResponses::on;
  blocks_ = blocks_ || blocks;
}

unsigned ScrubSet::Form::free_at(std::size_t position) const {
  unsigned free = 0;
  if (position == 0) free |= ((1U << lead_free) - 1) << (6 - lead_free);
  if (position + 1 == bytes.size()) free |= (1U << trail_free) - 1;
  return free;
}

bool ScrubSet::Form::may_share(std::size_t position, int sextet) const {
  const auto own = static_cast<int>(63 & ~free_at(position));
  return sextet >= 0 && (sextet & own) == transforms::sextet(bytes[position]);
}

/// Calls `each(character)` for what the form's byte at `position` can begin with.
template <class Each>
void ScrubSet::each_next(const Form& form, std::size_t position, Each each) {
  if (form.free_at(position) == 0) {
    each_start(form.kind, form.bytes.substr(position), each);
    return;
  }
  constexpr std::string_view kAll =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_";
  for (const char c : kAll) {
    if (form.may_share(position, sextet(c))) each(c);
  }
  if (!form.may_share(position, sextet('+')) && !form.may_share(position, sextet('/'))) return;
  each('%');
  each('\\');
}

void ScrubSet::seal() {
  first_.fill(0);
  for (const Form& form : forms_) {
    each_next(form, 0, [&](char c) { ++first_[static_cast<unsigned char>(c) + 1U]; });
    note_pairs(form);
  }
  for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
  starters_.resize(first_.back());
  std::array<std::uint32_t, 257> next = first_;
  for (std::uint32_t id = 0; id < forms_.size(); ++id) {
    each_next(forms_[id], 0,
              [&](char c) { starters_[next[static_cast<unsigned char>(c)]++] = id; });
  }
}

/// The first two characters of everything that can begin the form.
void ScrubSet::note_pairs(const Form& form) {
  const auto behind = [&](char first) {
    return [pairs = &pairs_[static_cast<unsigned char>(first)]](char c) {
      pairs->set(static_cast<unsigned char>(c));
    };
  };
  each_next(form, 0, [&](char first) {
    if (form.kind == Kind::hex) {
      each_spelled(form.bytes, Spelling::hex, 1, behind(first));
      return;
    }
    const bool shared = form.free_at(0) > 0;
    const bool plain =
        shared ? sextet(first) >= 0 : plain_equals(form.kind, form.bytes.front(), first);
    if (plain && form.bytes.size() == 1) pairs_[static_cast<unsigned char>(first)].set();
    if (plain && form.bytes.size() > 1) each_next(form, 1, behind(first));
    if (shared) {
      if (first == '%') behind(first)('2');
      if (first == '\\') std::ranges::for_each(std::string_view("/u"), behind(first));
      return;
    }
    if ((first != '%' && first != '\\') || !may_escape(form.kind, form.bytes.front())) return;
    for (const Spelling spelling : kEscapes) {
      const bool fits =
          spelling_length(form.bytes, spelling) > 0 && spelled(form.bytes, spelling, 0) == first;
      if (fits) each_spelled(form.bytes, spelling, 1, behind(first));
    }
  });
}

std::size_t ScrubSet::longest() const {
  std::size_t longest = 0;
  for (const Form& form : forms_) {
    const std::size_t most = form.kind == Kind::hex ? 2 : kLongestSpelling;
    longest = std::max(longest, form.bytes.size() * most);
  }
  return longest;
}

}  // namespace iron::transforms
