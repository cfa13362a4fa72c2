#include "proxy/dns/answer_cache.h"

#include <algorithm>
#include <utility>

#include "policy/match/host.h"

namespace iron::proxy::dns {
namespace {

template <class Iterator>
void rotate_by(Iterator begin, Iterator end, std::size_t uses) {
  const auto count = end - begin;
  if (count > 1) std::rotate(begin, begin + static_cast<std::ptrdiff_t>(uses) % count, end);
}

}  // namespace

void AnswerCache::put(std::string_view name,
                      Addresses addresses,
                      std::chrono::seconds ttl,
                      Time now) {
  if (addresses.empty() || addresses.size() > kMaxAddresses) return;
  std::string folded = policy::ascii_lower(name);
  const Time end = now + std::clamp(ttl, kLeast, kMost);
  if (const auto known = places_.find(folded); known != places_.end()) {
    Entry& entry = *known->second;
    addresses_ -= entry.addresses.size();
    entry.addresses = std::move(addresses);
    entry.end = end;
    entry.uses = 0;
    entries_.splice(entries_.begin(), entries_, known->second);
  } else {
    Entries made;
    made.push_back({std::move(folded), std::move(addresses), end});
    places_.emplace(made.front().name, made.begin());
    entries_.splice(entries_.begin(), made);
  }
  addresses_ += entries_.front().addresses.size();
  while (entries_.size() > kMaxNames || addresses_ > kMaxAddresses) drop(std::prev(entries_.end()));
}

std::optional<AnswerCache::Addresses> AnswerCache::get(std::string_view name, Time now) {
  const auto place = places_.find(policy::ascii_lower(name));
  if (place == places_.end()) return std::nullopt;
  const auto entry = place->second;
  if (now >= entry->end) {
    drop(entry);
    return std::nullopt;
  }
  entries_.splice(entries_.begin(), entries_, entry);
  Addresses result = entry->addresses;
  const auto other_kind = std::find_if(result.begin(), result.end(), [&](const auto& address) {
    return address.is_v4() != result.front().is_v4();
  });
  ++entry->uses;
  rotate_by(result.begin(), other_kind, entry->uses);
  rotate_by(other_kind, result.end(), entry->uses);
  return result;
}

void AnswerCache::clear() {
  places_.clear();
  entries_.clear();
  addresses_ = 0;
}

void AnswerCache::drop(Entries::iterator entry) {
  addresses_ -= entry->addresses.size();
  places_.erase(entry->name);
  entries_.erase(entry);
}

}  // namespace iron::proxy::dns
