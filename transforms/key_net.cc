#include "transforms/key_net.h"

#include <openssl/rand.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <set>
#include <utility>

#include "policy/json/json_writer.h"
#include "transforms/encoding.h"
#include "transforms/scrub_forms.h"

namespace iron::transforms {
namespace {

/// What tells rows of one slot apart.
std::uint32_t middle(std::uint64_t row_hash) { return static_cast<std::uint32_t>(row_hash >> 12); }

constexpr std::uint64_t kPrime = (std::uint64_t{1} << 61) - 1;

/// As a record's strings write it.
Secret json_escaped(std::string_view text) {
  Secret escaped = Secret::sized(policy::kLongestJsonEscape * text.size());
  char* out = escaped.writable().data();
  char* end = out;
  while (!text.empty()) end = policy::put_json_character(end, text);
  escaped.shrink(static_cast<std::size_t>(end - out));
  return escaped;
}

Secret encoded(std::string_view text, char* (*put_encoded)(char*, std::string_view)) {
  Secret all = Secret::sized(3 * text.size());
  char* out = all.writable().data();
  all.shrink(static_cast<std::size_t>(put_encoded(out, text) - out));
  return all;
}

/// A base64 text in the alphabet of URLs (RFC 4648 section 5).
Secret for_url(std::string_view base64) {
  Secret text = Secret::copy_of(base64);
  std::ranges::replace(text.writable(), '+', '-');
  std::ranges::replace(text.writable(), '/', '_');
  return text;
}

void add_spelling(Secret spelling, std::vector<Secret>& all) {
  if (spelling.size() < KeyNet::kShortest) return;
  const auto same = [&](const Secret& other) { return other.equals(spelling.reveal()); };
  if (std::none_of(all.begin(), all.end(), same)) all.push_back(std::move(spelling));
}

std::vector<Secret> spellings_of(const Secret& key) {
  std::vector<Secret> all;
  const ScrubForms forms(key);
  for (const ScrubForms::Form& form : forms.all()) {
    if (form.bytes.size() < KeyNet::kShortest || form.kind == ScrubForms::Kind::hex) continue;
    if (form.lead_free > 0 || form.trail_free > 0) continue;  // its own characters are there, too
    add_spelling(json_escaped(form.bytes), all);
    if (form.kind == ScrubForms::Kind::base64) {
      add_spelling(for_url(form.bytes), all);
    } else {
      add_spelling(encoded(form.bytes, put_form_encoded), all);
      add_spelling(encoded(form.bytes, put_path_encoded), all);
    }
  }
  return all;
}

}  // namespace

KeyNet::KeyNet(std::span<const Secret* const> keys) : numbers_(1) {
  const std::set<const Secret*> once(keys.begin(), keys.end());
  std::vector<Secret> spellings;
  for (const Secret* key : once) {
    for (Secret& spelling : spellings_of(*key)) spellings.push_back(std::move(spelling));
  }
  if (spellings.empty()) return;

  Numbers& numbers = numbers_.all().front();
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&numbers), sizeof(numbers)) != 1)
    throw std::bad_alloc();
  numbers.multiplier |= 1;
  numbers.point %= kPrime;
  const std::size_t slots = std::bit_ceil(2 * kRow * spellings.size());
  const std::size_t marks = 8 * slots;
  row_shift_ = 64 - static_cast<unsigned>(std::countr_zero(slots));
  mark_shift_ = 64 - static_cast<unsigned>(std::countr_zero(marks));
  rows_ = SecretArray<Row>(slots);
  marks_ = SecretArray<std::uint64_t>(marks / 64);
  spellings_ = SecretArray<Spelling>(spellings.size());
  for (std::uint32_t id = 0; id < spellings.size(); ++id) add(spellings[id].reveal(), id);
}

void KeyNet::add(std::string_view spelling, std::uint32_t id) {
  spellings_.all()[id] = {spelling.size(), hash(spelling)};
  const std::span<Row> rows = rows_.all();
  for (std::uint32_t to_end = kRow; to_end < 2 * kRow; ++to_end) {
    const std::uint64_t hashed =
        row_hash(spelling.data() + spelling.size() - to_end, numbers_.all().front().multiplier);
    const std::size_t mark = hashed >> mark_shift_;
    marks_.all()[mark / 64] |= std::uint64_t{1} << mark % 64;
    std::size_t at = hashed >> row_shift_;
    while (rows[at].to_end != 0) at = (at + 1) & (rows.size() - 1);
    constexpr std::uint32_t kSpellingBits = (1u << 28) - 1, kToEndBits = (1u << 4) - 1;
    rows[at] = {middle(hashed), id & kSpellingBits, to_end & kToEndBits};
  }
}

std::uint64_t KeyNet::row_hash(const char* row, std::uint64_t multiplier) {
  std::uint64_t value = 0;
  std::memcpy(&value, row, sizeof(value));
  return value * multiplier;
}

/// A polynomial over the field of 2^61 - 1, at a point that nobody knows: two texts of n bytes
/// have the same hash at n points of 2^61 at most.
std::uint64_t KeyNet::hash(std::string_view text) const {
  const std::uint64_t point = numbers_.all().front().point;
  std::uint64_t sum = 0;
  for (const char c : text) {
    const unsigned __int128 product = static_cast<unsigned __int128>(sum) * point;
    sum = (static_cast<std::uint64_t>(product & kPrime) +
           static_cast<std::uint64_t>(product >> 61) + static_cast<unsigned char>(c) + 1) %
          kPrime;
  }
  return sum;
}

/// The part of `text` that is the spelling, if its row stands at `at`; else nothing.
std::span<char> KeyNet::spelled(const Row& row, std::span<char> text, std::size_t at) const {
  const Spelling& spelling = spellings_.all()[row.spelling];
  const std::size_t end = at + row.to_end;
  if (end > text.size() || end < spelling.length) return {};
  const std::span<char> part = text.subspan(end - spelling.length, spelling.length);
  if (hash({part.data(), part.size()}) != spelling.hash) return {};
  return part;
}

/// The first place of a row, from `at` on, that may be one of ours; most texts have none. On its
/// own because it is what a line costs: 8 instructions a row, 23 as a part of mask().
std::size_t KeyNet::next_marked(std::span<const char> text, std::size_t at) const {
  const std::uint64_t multiplier = numbers_.all().front().multiplier;
  const std::uint64_t* marks = marks_.all().data();
  const unsigned shift = mark_shift_;
  for (; at + kRow <= text.size(); at += kRow) {
    const std::size_t mark = row_hash(text.data() + at, multiplier) >> shift;
    if ((marks[mark / 64] >> mark % 64 & 1) != 0) return at;
  }
  return text.size();
}

/// Masks the longest spelling whose row stands at `at`, if there is one.
bool KeyNet::mask_at(std::span<char> text, std::size_t at) const {
  const std::span<const Row> rows = rows_.all();
  const std::uint64_t hashed = row_hash(text.data() + at, numbers_.all().front().multiplier);
  std::span<char> longest;
  for (std::size_t i = hashed >> row_shift_; rows[i].to_end != 0; i = (i + 1) & (rows.size() - 1)) {
    if (rows[i].hash != middle(hashed)) continue;
    const std::span<char> part = spelled(rows[i], text, at);
    if (part.size() > longest.size()) longest = part;
  }
  std::fill(longest.begin(), longest.end(), '*');
  return !longest.empty();
}

bool KeyNet::mask(std::span<char> text) const {
  if (rows_.all().empty()) return false;
  bool found = false;
  for (std::size_t at = 0; (at = next_marked(text, at)) < text.size(); at += kRow)
    found = mask_at(text, at) || found;
  return found;
}

}  // namespace iron::transforms
