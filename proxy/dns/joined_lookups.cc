#include "proxy/dns/joined_lookups.h"

#include <new>
#include <utility>

namespace iron::proxy::dns {

void tell(const LookupDone& done, const LookupOutcome& outcome) {
  try {
    done(outcome);
  } catch (const std::bad_alloc&) {
    done(LookupOutcome::failure("out of memory"));
  }
}

LookupOnce::~LookupOnce() {
  if (ending_) return;
  try {
    pass(LookupOutcome::failure("out of memory"));
  } catch (const std::exception&) {
    // Whoever waited is told by its own LookupOnce.
  }
}

void LookupOnce::pass(LookupOutcome outcome) {
  if (!outcome.complete) {
    if (done_) done_(std::move(outcome));
    return;
  }
  if (const auto done = std::exchange(done_, nullptr)) done(std::move(outcome));
}

void JoinedLookups::join_or_ask(const std::string& key,
                                LookupDone done,
                                const std::function<void(LookupDone)>& ask) {
  // More would wait for a late answer than it is worth; they go on with what is known.
  constexpr std::size_t kMaxForLateAnswer = 1024;
  const auto [entry, is_new] = waiting_.try_emplace(key);
  try {
    std::vector<LookupDone>& all_waiting = entry->second.all;
    if (auto known = entry->second.known) {
      known->complete = all_waiting.size() >= kMaxForLateAnswer;
      if (!known->complete) all_waiting.push_back(done);
      tell(done, *known);
      return;
    }
    all_waiting.push_back(std::move(done));
    if (!is_new) return;
    const auto all = std::make_shared<LookupOnce>(
        ending_, [self = shared_from_this(), key](const LookupOutcome& outcome) {
          self->answer_all(key, outcome);
        });
    ask([all](LookupOutcome outcome) { all->pass(std::move(outcome)); });
  } catch (...) {
    if (is_new) waiting_.erase(key);  // else whoever asks next would wait for ever
    throw;
  }
}

void JoinedLookups::answer_all(const std::string& key, const LookupOutcome& outcome) {
  const auto found = waiting_.find(key);
  if (found == waiting_.end()) return;
  std::vector<LookupDone> all;
  if (outcome.complete) {
    all = std::move(found->second.all);
    waiting_.erase(found);
  } else {
    found->second.known = outcome;
    all = found->second.all;  // being told, they may ask again
  }
  for (const LookupDone& one : all) tell(one, outcome);
}

}  // namespace iron::proxy::dns
