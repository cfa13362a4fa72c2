#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "policy/match/glob.h"
#include "policy/match/rules.h"

namespace iron::policy {
namespace {

/// Hash of a text read from its end, so that every suffix of a host is hashed in one pass.
class SuffixHash {
 public:
  void add(char c) { value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100000001b3U; }
  std::uint64_t value() const { return value_ ^ (value_ >> 29); }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325U;
};

std::uint64_t hash_of(std::string_view text) {
  SuffixHash hash;
  for (auto c = text.rbegin(); c != text.rend(); ++c) hash.add(*c);
  return hash.value();
}

using Groups = std::unordered_map<std::string, std::vector<std::uint32_t>>;

/// Open addressing over the keys of groups, which must outlive it unchanged; built once, then only
/// read.
class Table {
 public:
  void build(const Groups& groups) {
    std::size_t slots = 4;
    while (slots < groups.size() * 2) slots *= 2;
    slots_.assign(slots, {});
    ids_.clear();
    longest_ = 0;
    for (const auto& [text, ids] : groups) {
      const std::uint64_t hash = hash_of(text);
      std::size_t i = hash & (slots - 1);
      while (slots_[i].count != 0) i = (i + 1) & (slots - 1);
      slots_[i] = {hash, text, ids_.size(), ids.size()};
      ids_.insert(ids_.end(), ids.begin(), ids.end());
      longest_ = std::max(longest_, text.size());
    }
    empty_ = groups.empty();
  }

  bool empty() const { return empty_; }
  std::size_t longest() const { return longest_; }

  void find(std::string_view text, std::uint64_t hash, std::vector<std::uint32_t>& ids) const {
    for (std::size_t i = hash & (slots_.size() - 1); slots_[i].count != 0;
         i = (i + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[i];
      if (slot.hash != hash || slot.text != text) continue;
      const auto begin = ids_.begin() + static_cast<std::ptrdiff_t>(slot.first);
      ids.insert(ids.end(), begin, begin + static_cast<std::ptrdiff_t>(slot.count));
      return;
    }
  }

 private:
  struct Slot {
    std::uint64_t hash = 0;
    std::string_view text;
    std::size_t first = 0;
    std::size_t count = 0;  // 0: free
  };
  std::vector<Slot> slots_ = std::vector<Slot>(4);
  std::vector<std::uint32_t> ids_;
  std::size_t longest_ = 0;
  bool empty_ = true;
};

/// Family, length and network of a prefix as a text, on the stack.
using PrefixKey = std::array<char, 18>;
PrefixKey prefix_key(const DenyList::Prefix& prefix) {
  PrefixKey key{};
  key[0] = prefix.network.is_v4() ? '4' : '6';
  key[1] = static_cast<char>(prefix.bits);
  std::ranges::transform(prefix.network.bytes(), key.begin() + 2,
                         [](std::uint8_t byte) { return static_cast<char>(byte); });
  return key;
}

std::string_view view(const PrefixKey& key) { return {key.data(), key.size()}; }

}  // namespace

struct HostIndex::State {
  // What add() collected.
  Groups exact_groups, suffix_groups, prefix_groups;
  std::set<std::pair<bool, int>> lengths_seen;  // family and bits of the prefixes

  // What find() reads.
  Table exact, suffix, prefix;
  std::vector<std::pair<bool, int>> lengths;
  std::vector<std::uint32_t> any;
  std::vector<std::pair<HostPattern, std::uint32_t>> globs;

  void find_names(std::string_view host, std::vector<std::uint32_t>& ids) const;
  void find_prefixes(const IpAddress& address, std::vector<std::uint32_t>& ids) const;
};

HostIndex::HostIndex() : state_(std::make_unique<State>()) {}
HostIndex::~HostIndex() = default;
HostIndex::HostIndex(HostIndex&&) noexcept = default;
HostIndex& HostIndex::operator=(HostIndex&&) noexcept = default;

void HostIndex::add(const HostPattern& pattern, std::uint32_t id) {
  switch (pattern.kind()) {
    case HostPattern::Kind::any:
      state_->any.push_back(id);
      break;
    case HostPattern::Kind::exact:
      state_->exact_groups[pattern.text()].push_back(id);
      break;
    case HostPattern::Kind::suffix:
      state_->suffix_groups[pattern.text()].push_back(id);
      break;
    case HostPattern::Kind::glob:
      if (!pattern.useless() || glob_well_formed(pattern.text())) {
        state_->globs.emplace_back(pattern, id);
      }
      break;
  }
}

void HostIndex::add(const DenyList::Prefix& prefix, std::uint32_t id) {
  state_->prefix_groups[std::string(view(prefix_key(prefix)))].push_back(id);
  state_->lengths_seen.emplace(prefix.network.is_v4(), prefix.bits);
}

void HostIndex::build() {
  State& state = *state_;
  state.exact.build(state.exact_groups);
  state.suffix.build(state.suffix_groups);
  state.prefix.build(state.prefix_groups);
  state.lengths.assign(state.lengths_seen.begin(), state.lengths_seen.end());
}

void HostIndex::State::find_names(std::string_view host, std::vector<std::uint32_t>& ids) const {
  const std::size_t limit = std::max(exact.longest(), suffix.longest());
  SuffixHash hash;
  for (std::size_t length = 0; length <= limit; ++length) {
    const bool whole = length == host.size();
    const std::string_view tail = host.substr(host.size() - length);
    if (whole && !exact.empty()) exact.find(tail, hash.value(), ids);
    if (!suffix.empty() && (whole || host[host.size() - length - 1] == '.')) {
      suffix.find(tail, hash.value(), ids);
    }
    if (whole) return;
    hash.add(host[host.size() - length - 1]);
  }
}

void HostIndex::State::find_prefixes(const IpAddress& address,
                                     std::vector<std::uint32_t>& ids) const {
  for (const auto& [v4, bits] : lengths) {
    if (v4 != address.is_v4()) continue;
    const PrefixKey key = prefix_key(DenyList::Prefix::of({address.bytes(), v4}, bits));
    prefix.find(view(key), hash_of(view(key)), ids);
  }
}

void HostIndex::find(std::string_view folded_host,
                     const std::optional<IpAddress>& literal,
                     std::vector<std::uint32_t>& ids) const {
  const std::size_t before = ids.size();
  const State& state = *state_;
  ids.insert(ids.end(), state.any.begin(), state.any.end());
  state.find_names(folded_host, ids);
  for (const auto& [pattern, id] : state.globs) {
    if (pattern.matches(folded_host)) ids.push_back(id);
  }
  if (literal) state.find_prefixes(*literal, ids);
  const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(before);
  std::sort(begin, ids.end());
  ids.erase(std::unique(begin, ids.end()), ids.end());
}

}  // namespace iron::policy
