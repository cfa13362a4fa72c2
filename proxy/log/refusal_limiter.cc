#include "proxy/log/refusal_limiter.h"

#include <utility>

#include "proxy/log/log.h"

namespace iron::proxy {
namespace {

constexpr std::chrono::seconds kWindow{1};
// A full table is not searched for old entries at every refusal.
constexpr std::chrono::milliseconds kSweepPause{100};

}  // namespace

bool RefusalLimiter::admit(const policy::IpAddress& client, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  auto found = windows_.find(client);
  if (found == windows_.end()) {
    if (windows_.size() >= kMaxClients && now - swept_ >= kSweepPause) drop_old(now);
    if (windows_.size() >= kMaxClients) return admit_in(others_, nullptr, now);
    found = windows_.emplace(client, Window{now, 0}).first;
  }
  return admit_in(found->second, &client, now);
}

bool RefusalLimiter::admit_in(Window& window,
                              const policy::IpAddress* client,
                              Clock::time_point now) {
  if (now - window.begin >= kWindow) {
    close(window, client);
    window = {now, 0};
  }
  return ++window.count <= kRecordsPerSecond;
}

void RefusalLimiter::close(const Window& window, const policy::IpAddress* client) {
  if (window.count <= kRecordsPerSecond) return;
  due_.push_back(
      {client != nullptr ? client->text() : std::string(), window.count - kRecordsPerSecond});
}

void RefusalLimiter::drop_old(Clock::time_point now) {
  swept_ = now;
  for (auto it = windows_.begin(); it != windows_.end();) {
    if (now - it->second.begin < kWindow) {
      ++it;
      continue;
    }
    close(it->second, &it->first);
    it = windows_.erase(it);
  }
}

std::vector<RefusalLimiter::Suppressed> RefusalLimiter::take_due(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  drop_old(now);
  if (now - others_.begin >= kWindow) {
    close(others_, nullptr);
    others_ = {};
  }
  return std::exchange(due_, {});
}

void RefusalLimiter::report(Log& log, Clock::time_point now) {
  for (const Suppressed& suppressed : take_due(now)) {
    log.write(Level::warn, "refusals not recorded",
              {{"remote_addr", suppressed.remote_addr},
               {"count", static_cast<std::int64_t>(suppressed.count)}});
  }
}

}  // namespace iron::proxy
