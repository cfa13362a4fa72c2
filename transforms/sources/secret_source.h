#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "policy/secret/secret.h"
#include "transforms/registry.h"

namespace iron::transforms {

/// Where a key comes from: the `source` block of an entry. Thread safe; each entry has its own,
/// with its own cache, even for the same variable. See docs/secrets.md, "Sources".
class SecretSource {
 public:
  /// Reads the block `key` of a transform. Throws ConfigError without the entry's prefix.
  SecretSource(const policy::YamlNode* node, const std::string& path, const BuildContext& context);

  /// How records name the secret.
  const std::string& name() const { return variable_; }
  /// The value, or null while it is not available. Lives as long as this source and its
  /// environment.
  const Secret* value() const {
    const Secret* ready = ready_.load(std::memory_order_acquire);
    return ready != nullptr ? ready : fetch(monotonic_ns());
  }
  /// The value if it is there now; a failure is neither told nor kept.
  const Secret* peek() const;
  /// value() at a given time of the monotonic clock.
  const Secret* fetch(std::int64_t now_ns) const;

 private:
  static std::int64_t monotonic_ns();
  const Secret* part_of(const Secret& whole) const;
  const Secret* extract(const Secret& whole) const;

  std::string variable_, json_key_;
  const SecretEnvironment* environment_;
  decltype(Services::secret_failed) failed_;
  mutable std::atomic<const Secret*> ready_ = nullptr;
  mutable std::atomic<std::int64_t> retry_at_ns_ = INT64_MIN;
  mutable std::once_flag extracted_once_;
  mutable std::unique_ptr<const Secret> extracted_;
};

}  // namespace iron::transforms
