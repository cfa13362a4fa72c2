#include "transforms/scrub.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "transforms/encoding.h"
#include "transforms/scrub_spelling.h"

namespace iron::transforms {
namespace {

using Kind = ScrubForms::Kind;

constexpr std::string_view kNameless = "[redacted]";
constexpr std::size_t kLongestSpelling = 6;  // of one byte: \u00xx
constexpr std::size_t kLeastHeld = 64;

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
    return std::ranges::find_if(forms_, [&](const Form& other) {
      return other.kind == form.kind && other.bytes == form.bytes;
    });
  };
  // All forms of a value are known if its first one is, hence one search.
  const bool new_value = forms.all().empty() || known(forms.all().front()) == forms_.end();
  for (const ScrubForms::Form& form : forms.all()) {
    const auto same = new_value ? forms_.end() : known(form);
    if (same == forms_.end()) {
      forms_.push_back({form.kind, form.bytes, shown, blocks});
    } else {
      same->blocks = same->blocks || blocks;
    }
  }
  replaces_ = replaces_ || mode == ScrubResponses::on;
  blocks_ = blocks_ || blocks;
}

void ScrubSet::seal() {
  first_.fill(0);
  for (const Form& form : forms_) {
    each_start(form.kind, form.bytes,
               [&](char c) { ++first_[static_cast<unsigned char>(c) + 1U]; });
    note_pairs(form);
  }
  for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
  starters_.resize(first_.back());
  std::array<std::uint32_t, 257> next = first_;
  for (std::uint32_t id = 0; id < forms_.size(); ++id) {
    each_start(forms_[id].kind, forms_[id].bytes,
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
  each_start(form.kind, form.bytes, [&](char first) {
    if (form.kind == Kind::hex) {
      each_spelled(form.bytes, Spelling::hex, 1, behind(first));
      return;
    }
    const bool plain = plain_equals(form.kind, form.bytes.front(), first);
    if (plain && form.bytes.size() == 1) pairs_[static_cast<unsigned char>(first)].set();
    if (plain && form.bytes.size() > 1) each_start(form.kind, form.bytes.substr(1), behind(first));
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

/// All ways in which `byte` can carry the partial match on.
void ScrubFilter::extend(const Thread& thread, unsigned char byte) {
  const ScrubSet::Form& form = set_->forms_[thread.form];
  const std::string_view bytes = form.bytes.substr(thread.position);
  const auto c = static_cast<char>(byte);
  const auto try_spelling = [&](Spelling spelling) {
    const std::size_t size = spelling_length(bytes, spelling);
    if (size == 0) return;
    bool fits = false;
    each_spelled(bytes, spelling, thread.offset, [&](char at) { fits = fits || at == c; });
    if (!fits) return;
    Thread next = thread;
    next.spelling = spelling;
    ++next.offset;
    if (next.offset < size) {
      keep(next);
    } else {
      advance(next, spelled_bytes(bytes, spelling));
    }
  };
  if (thread.spelling != Spelling::none) {
    try_spelling(thread.spelling);
    return;
  }
  if (form.kind == Kind::hex) {
    try_spelling(Spelling::hex);
    return;
  }
  if (plain_equals(form.kind, bytes.front(), c)) advance(thread, 1);
  if ((c != '%' && c != '\\') || !may_escape(form.kind, bytes.front())) return;
  for (const Spelling spelling :
       {Spelling::percent, Spelling::json_short, Spelling::json_byte, Spelling::json_code}) {
    try_spelling(spelling);
  }
}

/// Two ways to read the same characters can come to the same place. One of them goes on, or each
/// place of a key that is ambiguous, as backslashes are, would double them.
void ScrubFilter::keep(const Thread& thread) {
  const auto related = [&](const Thread& other) {
    return other.begin == thread.begin && other.form == thread.form;
  };
  for (auto at = next_.rbegin(); at != next_.rend() && related(*at); ++at) {
    if (*at == thread) return;
  }
  next_.push_back(thread);
}

/// Behind a whole spelling of `bytes` bytes.
void ScrubFilter::advance(Thread thread, std::size_t bytes) {
  thread.position += static_cast<std::uint32_t>(bytes);
  thread.spelling = Spelling::none;
  thread.offset = 0;
  if (thread.position == set_->forms_[thread.form].bytes.size()) {
    found(thread);
  } else {
    keep(thread);
  }
}

void ScrubFilter::found(const Thread& thread) {
  const ScrubSet::Form& form = set_->forms_[thread.form];
  hit_ = true;
  blocked_ = blocked_ || form.blocks;
  Match match{thread.begin, at_ + 1, form.token};
  while (!matches_.empty() && matches_.back().end > match.begin) {
    // At an equal start the new one is at least as long.
    const Match& before = matches_.back();
    if (before.begin < match.begin || (before.begin == match.begin && before.end == match.end)) {
      match.begin = before.begin;
      match.token = before.token;
    }
    matches_.pop_back();
  }
  if (match.begin < written_) {
    written_ = match.end;  // its token is out already
  } else {
    matches_.push_back(match);
  }
}

void ScrubFilter::step(unsigned char byte) {
  next_.clear();
  for (const Thread& thread : threads_) extend(thread, byte);
  Thread fresh;
  fresh.begin = at_;
  for (std::uint32_t i = set_->first_[byte]; i < set_->first_[byte + 1U]; ++i) {
    fresh.form = set_->starters_[i];
    extend(fresh, byte);
  }
  std::swap(threads_, next_);
}

/// Where something may begin, from `at` on. Two characters rule out nearly everything.
std::size_t ScrubFilter::next_start(std::string_view bytes, std::size_t at) const {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  while (at + 1 < bytes.size() && !set_->pairs_[byte(at)].test(byte(at + 1))) ++at;
  const auto& first = set_->first_;
  const bool last = at + 1 == bytes.size();
  return last && first[byte(at)] == first[byte(at) + 1U] ? bytes.size() : at;
}

bool ScrubFilter::feed(std::string_view bytes, std::string& out) {
  if (blocked_) return false;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (threads_.empty()) i = next_start(bytes, i);
    if (i == bytes.size()) break;
    at_ = fed_ + i;
    step(static_cast<unsigned char>(bytes[i]));
    if (blocked_) return false;
  }
  fed_ += bytes.size();
  std::uint64_t decided = fed_;
  for (const Thread& thread : threads_) decided = std::min(decided, thread.begin);
  release(decided, bytes, out);
  keep_back(bytes);
  return true;
}

void ScrubFilter::finish(std::string& out) {
  if (!blocked_) release(fed_, {}, out);
  drop_held();
}

void ScrubFilter::restart() {
  drop_held();
  matches_.clear();
  fed_ = at_ = written_ = 0;
  hit_ = blocked_ = false;
}

/// Writes everything before `until`. `bytes` are the last ones before fed_.
void ScrubFilter::release(std::uint64_t until, std::string_view bytes, std::string& out) {
  std::size_t done = 0;
  for (; done < matches_.size() && matches_[done].begin < until; ++done) {
    copy(written_, matches_[done].begin, bytes, out);
    out.append(matches_[done].token);
    written_ = matches_[done].end;
  }
  matches_.erase(matches_.begin(), matches_.begin() + static_cast<std::ptrdiff_t>(done));
  if (until <= written_) return;
  copy(written_, until, bytes, out);
  written_ = until;
}

/// Bytes of the stream, which are in held_ and then in `bytes`.
void ScrubFilter::copy(std::uint64_t from,
                       std::uint64_t to,
                       std::string_view bytes,
                       std::string& out) const {
  const std::uint64_t border = fed_ - bytes.size();
  const std::uint64_t held_begin = border - kept_;
  if (from < border) {
    const std::uint64_t end = std::min(to, border);
    out.append(held_.reveal().substr(from - held_begin, end - from));
    from = end;
  }
  if (from < to) out.append(bytes.substr(from - border, to - from));
}

/// What is not written yet stays until it is decided.
void ScrubFilter::keep_back(std::string_view bytes) {
  const std::size_t wanted = fed_ - written_;
  if (wanted == 0 && kept_ == 0) return;
  const std::size_t of_bytes = std::min(wanted, bytes.size());
  const std::size_t of_held = wanted - of_bytes;
  if (wanted > held_.size()) {
    Secret larger = Secret::sized(std::max(wanted * 2, kLeastHeld));
    if (of_held > 0) {
      std::memcpy(larger.writable().data(), held_.reveal().substr(kept_ - of_held).data(), of_held);
    }
    held_ = std::move(larger);
  } else if (of_held > 0) {
    std::memmove(held_.writable().data(), held_.reveal().substr(kept_ - of_held).data(), of_held);
  }
  put(held_.writable().data() + of_held, bytes.substr(bytes.size() - of_bytes));
  if (kept_ > wanted) wipe(held_.writable().subspan(wanted, kept_ - wanted));
  kept_ = wanted;
}

/// Forgets what was kept back.
void ScrubFilter::drop_held() {
  if (kept_ > 0) wipe(held_.writable().first(kept_));
  kept_ = 0;
  threads_.clear();
}

}  // namespace iron::transforms
