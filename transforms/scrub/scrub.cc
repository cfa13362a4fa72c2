#include "transforms/scrub/scrub.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "transforms/encoding.h"
#include "transforms/scrub/scrub_spelling.h"

namespace iron::transforms {
namespace {

using Kind = ScrubForms::Kind;

constexpr std::size_t kLeastHeld = 64;

}  // namespace

bool ScrubFilter::Thread::meets(const Thread& other) const {
  return begin == other.begin && form == other.form && position == other.position &&
         spelling == other.spelling && offset == other.offset && border == other.border;
}

/// All ways in which `byte` can carry the partial match on.
void ScrubFilter::extend(const Thread& thread, unsigned char byte) {
  const ScrubSet::Form& form = set_->forms_[thread.form];
  const std::string_view bytes = form.bytes.substr(thread.position);
  const auto c = static_cast<char>(byte);
  if (form.free_at(thread.position) > 0) {
    extend_border(thread, c);
    return;
  }
  if (thread.spelling != Spelling::none) {
    spell(thread, bytes, thread.spelling, c);
    return;
  }
  if (form.kind == Kind::hex) {
    spell(thread, bytes, Spelling::hex, c);
    return;
  }
  if (plain_equals(form.kind, bytes.front(), c)) {
    Thread next = thread;
    next.coding.url = next.coding.url || (form.kind == Kind::base64 && c != bytes.front());
    advance(next, 1);
  }
  if ((c != '%' && c != '\\') || !may_escape(form.kind, bytes.front())) return;
  for (const Spelling spelling : kEscapes) spell(thread, bytes, spelling, c);
}

/// One more character of a spelling of the first of `bytes`.
void ScrubFilter::spell(Thread thread, std::string_view bytes, Spelling spelling, char c) {
  const std::size_t size = spelling_length(bytes, spelling);
  if (size == 0) return;
  bool fits = false;
  each_spelled(bytes, spelling, thread.offset, [&](char at) { fits = fits || at == c; });
  if (!fits) return;
  Coding& coding = thread.coding;
  if (spelling == Spelling::hex) {
    coding.lower = coding.lower || c >= 'a';
    coding.upper = coding.upper || (c >= 'A' && c <= 'F');
  } else {
    (spelling == Spelling::percent ? coding.percent : coding.json) = true;
  }
  thread.spelling = spelling;
  ++thread.offset;
  if (thread.offset < size) {
    keep(thread);
  } else if (thread.border != 0) {
    cross_border(thread, sextet(thread.border));
  } else {
    advance(thread, spelled_bytes(bytes, spelling));
  }
}

/// The same at a base64 character that the value shares with its neighbour.
void ScrubFilter::extend_border(const Thread& thread, char c) {
  const ScrubSet::Form& form = set_->forms_[thread.form];
  if (thread.spelling != Spelling::none) {
    spell(thread, {&thread.border, 1}, thread.spelling, c);
    return;
  }
  Thread next = thread;
  if (form.may_share(thread.position, sextet(c))) {
    next.coding.url = next.coding.url || c == '-' || c == '_';
    cross_border(next, sextet(c));
  }
  if (c != '%' && c != '\\') return;
  for (const char escaped : {'+', '/'}) {
    if (!form.may_share(thread.position, sextet(escaped))) continue;
    next.border = escaped;
    for (const Spelling spelling : kEscapes) spell(next, {&escaped, 1}, spelling, c);
  }
}

void ScrubFilter::cross_border(Thread thread, int value) {
  const ScrubSet::Form& form = set_->forms_[thread.form];
  const auto bits = static_cast<unsigned>(value);
  if (thread.position == 0 && form.lead_free > 0) {
    thread.lead = static_cast<std::uint8_t>(bits >> (6 - form.lead_free));
  } else {
    thread.trail = static_cast<std::uint8_t>(bits & ((1U << form.trail_free) - 1));
  }
  thread.border = 0;
  advance(thread, 1);
}

/// Two ways to read the same characters can come to the same place. One of them goes on, or each
/// place of a key that is ambiguous, as backslashes are, would double them.
void ScrubFilter::keep(const Thread& thread) {
  const auto related = [&](const Thread& other) {
    return other.begin == thread.begin && other.form == thread.form;
  };
  for (auto at = next_.rbegin(); at != next_.rend() && related(*at); ++at) {
    if (!at->meets(thread)) continue;
    at->coding.add(thread.coding);
    return;
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
  Match match{thread.begin, at_ + 1, thread.form, thread.lead, thread.coding, {}};
  match.ending.open = form.kind == Kind::base64 && form.whole;
  match.ending.behind = {thread.trail, form.trail_free};
  match.ending.padded = form.bytes.ends_with('=');
  while (!matches_.empty() && matches_.back().end > match.begin) {
    Match before = matches_.back();
    // At an equal start the new one is at least as long.
    if (before.begin < match.begin || (before.begin == match.begin && before.end == match.end)) {
      const bool again = before.begin == match.begin && before.form == match.form;
      if (again) before.coding.add(match.coding);
      if (before.end < match.end) before.ending = match.ending;
      before.end = match.end;
      match = before;
    }
    matches_.pop_back();
  }
  if (match.begin >= written_) {
    matches_.push_back(match);
  } else if (match.end > written_) {  // its token is out already
    written_ = match.end;
    patch_.follow(match.ending);
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
  if (!blocked_) {
    release(fed_, {}, out);
    patch_.leave(out);
  }
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
    write_token(matches_[done], out);
    written_ = matches_[done].end;
  }
  matches_.erase(matches_.begin(), matches_.begin() + static_cast<std::ptrdiff_t>(done));
  if (until <= written_) return;
  copy(written_, until, bytes, out);
  written_ = until;
}

void ScrubFilter::write_token(const Match& match, std::string& out) {
  const ScrubSet::Form& form = set_->forms_[match.form];
  if (form.kind == Kind::base64 && form.whole) {
    patch_.put({match.lead, form.lead_free}, form.token, match.coding, out);
    patch_.follow(match.ending);
    return;
  }
  patch_.leave(out);
  if (form.kind == Kind::hex) {
    append_hex(form.token, match.coding, out);
  } else {
    append_text(form.token, match.coding, out);
  }
}

/// Bytes of the stream, which are in held_ and then in `bytes`.
void ScrubFilter::copy(std::uint64_t from,
                       std::uint64_t to,
                       std::string_view bytes,
                       std::string& out) {
  const std::uint64_t border = fed_ - bytes.size();
  const std::uint64_t held_begin = border - kept_;
  if (from < border) {
    const std::uint64_t end = std::min(to, border);
    patch_.copy(held_.reveal().substr(from - held_begin, end - from), out);
    from = end;
  }
  if (from < to) patch_.copy(bytes.substr(from - border, to - from), out);
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
  patch_.reset();
}

}  // namespace iron::transforms
