#include "proxy/net/upstream_pool.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>

namespace iron::proxy {
namespace {
constexpr std::size_t kPerKey = 64, kInAll = 1024, kKeysKept = 4096;
constexpr auto kIdle = std::chrono::seconds(90);
constexpr auto kJanitorPeriod = std::chrono::seconds(1);

bool peer_has_left(int descriptor) {
  char byte;
  const auto got = ::recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got >= 0 || (errno != EAGAIN && errno != EINTR);
}
}  // namespace

bool UpstreamConnection::settle_idle() {
  if (!connection.quiet()) return false;
  connection.set_pause(nullptr);
  set_user(nullptr);
  connection.arm_read();
  return true;
}

bool UpstreamConnection::alive(bool check) const {
  // Anything that came while it idled is an end or an answer nobody asked for.
  if (connection.maybe_readable()) return false;
  return !check || !peer_has_left(connection.stream().descriptor());
}

UpstreamPool::UpstreamPool(EventLoop& loop, IdleBudget& beyond_own, int share)
    : loop_(loop),
      beyond_own_(beyond_own),
      own_per_key_(std::max<std::size_t>(1, kPerKey / 4 / static_cast<std::size_t>(share))),
      in_all_(std::max<std::size_t>(1, kInAll / static_cast<std::size_t>(share))),
      shared_per_key_(
          std::max(0, static_cast<int>(kPerKey - own_per_key_ * static_cast<std::size_t>(share)))),
      janitor_(loop, [this] { clean(); }) {}

UpstreamPool::~UpstreamPool() { drop_idle(); }

void UpstreamPool::make_key(const UpstreamTarget& target, std::string& key) {
  key.assign(target.tls ? "https://" : "http://").append(target.host).push_back(':');
  char digits[8];
  key.append(digits, std::to_chars(digits, digits + sizeof digits, target.port).ptr);
}

void UpstreamPool::make_key(const UpstreamTarget& target,
                            const policy::ProxyUrl& parent,
                            bool tunnel,
                            std::string& key) {
  key.clear();
  if (tunnel) make_key(target, key);
  key.append(tunnel ? " through " : "requests to ").append(parent.text());
}

UpstreamPtr UpstreamPool::take(const std::string& key, bool check) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  auto& idle = found->second.idle;
  while (!idle.empty()) {
    UpstreamPtr connection = std::move(idle.back());
    idle.pop_back();
    connection->unlink();
    --idle_count_;
    give_place_back(found->second);
    if (!connection->alive(check)) continue;
    connection->reused = true;
    return connection;
  }
  return nullptr;
}

void UpstreamPool::put(UpstreamPtr connection) {
  if (loop_.draining() || connection->belongs_to_client()) return;
  if (!connection->settle_idle()) return;
  Entry& entry = this->entry(connection->key);
  const SteadyTime now = loop_.now();
  entry.used = connection->idle_since = now;
  connection->buffers_held = true;
  entry.idle.emplace_back();  // from here on nothing needs memory, so no place gets lost
  entry.idle.pop_back();
  if (!take_place(entry)) {
    if (!entry.idle.empty()) drop(*entry.idle.front());
    if (!take_place(entry)) return;
  }
  idle_.push_back(*connection);
  entry.idle.push_back(std::move(connection));
  if (idle_count_++ == 0) janitor_.set(now + kJanitorPeriod);
  if (idle_count_ > in_all_) drop(*idle_.front());
}

UpstreamPool::Entry& UpstreamPool::entry(const std::string& key) {
  Entry& entry = entries_[key];
  if (entry.beyond_own == nullptr) entry.beyond_own = &beyond_own_.of(key);
  return entry;
}

bool UpstreamPool::take_place(const Entry& entry) {
  if (entry.idle.size() < own_per_key_) return true;
  if (entry.beyond_own->fetch_add(1, std::memory_order_relaxed) < shared_per_key_) return true;
  entry.beyond_own->fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void UpstreamPool::give_place_back(const Entry& entry) {
  if (entry.idle.size() < own_per_key_) return;
  entry.beyond_own->fetch_sub(1, std::memory_order_relaxed);
}

void UpstreamPool::drop(UpstreamConnection& connection) {
  Entry& entry = entries_.find(connection.key)->second;
  const auto is_it = [&](const UpstreamPtr& one) { return one.get() == &connection; };
  entry.idle.erase(std::find_if(entry.idle.begin(), entry.idle.end(), is_it));
  --idle_count_;
  give_place_back(entry);
}

void UpstreamPool::drop_all(Entry& entry) {
  while (!entry.idle.empty()) drop(*entry.idle.back());
}

std::shared_ptr<tls::SessionStore> UpstreamPool::sessions(const std::string& key) {
  Entry& entry = this->entry(key);
  entry.used = loop_.now();
  if (!entry.sessions) entry.sessions = std::make_shared<tls::SessionStore>();
  return entry.sessions;
}

void UpstreamPool::clear() {
  drop_idle();
  entries_.clear();
}

void UpstreamPool::drop_idle() {
  for (auto& [key, entry] : entries_) drop_all(entry);
}

/// Runs while something idles.
void UpstreamPool::clean() {
  const SteadyTime now = loop_.now();
  for (UpstreamConnection* idle = idle_.front(); idle != nullptr;) {
    UpstreamConnection* const following = idle_.after(*idle);
    if (idle->connection.maybe_readable() || idle->idle_since + kIdle <= now) {
      drop(*idle);
    } else if (idle->buffers_held && idle->idle_since + kJanitorPeriod <= now) {
      idle->connection.stream().free_buffers();
      idle->buffers_held = false;
    }
    idle = following;
  }
  // Names a sandbox invents must not be remembered for ever: the TLS sessions of quiet keys go.
  if (entries_.size() > kKeysKept) {
    std::erase_if(entries_, [&](const auto& entry) {
      return entry.second.idle.empty() && entry.second.used + kIdle <= now;
    });
  }
  if (idle_count_ > 0) janitor_.set(now + kJanitorPeriod);
}

}  // namespace iron::proxy
