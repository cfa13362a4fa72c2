#include "proxy/log/distrust_notices.h"

#include <algorithm>

namespace iron::proxy {

bool DistrustNotices::admit(const policy::IpAddress& client,
                            const std::string& host,
                            Clock::time_point now) {
  const Pair pair(client, host);
  const std::lock_guard lock(mutex_);
  const auto found = notices_.find(pair);
  if (found != notices_.end()) {
    found->second.seen = ++sights_;
    if (now - found->second.written < kSilence) return false;
  }
  if (!limit_.admit(now)) return false;
  if (found == notices_.end() && notices_.size() >= kPairs) forget_oldest();
  notices_[pair] = {now, ++sights_};
  return true;
}

/// Looks at every pair, ten times a second at most.
void DistrustNotices::forget_oldest() {
  notices_.erase(
      std::min_element(notices_.begin(), notices_.end(),
                       [](const auto& a, const auto& b) { return a.second.seen < b.second.seen; }));
}

}  // namespace iron::proxy
