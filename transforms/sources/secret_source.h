#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "policy/secret/secret.h"
#include "transforms/registry.h"
#include "transforms/sources/source_kind.h"
#include "transforms/supply.h"

namespace iron::transforms {

/// Where a key comes from: the `source` block of an entry. Each entry has its own, with its own
/// cache, even for the same secret. A variable and a value of the configuration are there at once,
/// on any thread; all else is fetched (docs/secrets.md, "Sources").
class SecretSource final : public Supply {
 public:
  /// What an entry derives from each value.
  using MakeForms = std::function<std::shared_ptr<const SecretForms>(SecretPtr)>;
  /// Reads the block at `path` of a transform. Throws ConfigError without the entry's prefix.
  SecretSource(const policy::YamlNode* node,
               const std::string& path,
               const BuildContext& context,
               MakeForms make_forms = {});

  /// How records name the secret.
  const std::string& name() const { return name_; }
  /// Of a source that is a variable; empty for others.
  const std::string& variable() const { return variable_; }
  /// Its value is none that the log must not show.
  void set_public() { is_key_ = false; }
  /// There at once: nothing is ever waited for.
  bool immediate() const { return kind_ == nullptr; }

  /// What the exchange has of it; null: it must wait, and `awaited` says for what.
  const Supplied* look(Exchange& exchange) const {
    const Supplied* ready = ready_.load(std::memory_order_acquire);
    if (ready != nullptr) return ready;
    return immediate() ? look_now(monotonic_ns()) : exchange.use(*this);
  }
  /// The value that is there now, fresh or not, or null; a failure is neither told nor kept.
  const Supplied* peek(const Exchange& exchange) const;
  /// look() of an immediate one at a given time of the monotonic clock.
  const Supplied* look_now(std::int64_t now_ns) const;
  /// Appends the value of an immediate one.
  void keys(std::vector<const Secret*>& out) const;

  Task<Supplied> fetch(Outside& outside) override;
  bool fetched_for_each_use() const override { return ttl_ns_ < 0; }

 private:
  /// What was fetched, or why nothing was.
  struct Kept {
    SecretPtr whole, part;
    std::shared_ptr<const SecretForms> forms;
    std::string error;       ///< there is no value
    std::string part_error;  ///< there is one, without the part of `json_key`
    std::int64_t expires_ns = INT64_MIN;
  };

  static std::int64_t monotonic_ns();
  void read_times(const SourceBlock& block);
  const Supplied* make_ready(const Secret& whole) const;
  Supplied supplied() const;
  void keep(Result<Secret> got, std::int64_t now_ns, Outside& outside);
  void keep_failure(const std::string& error, std::int64_t now_ns, Outside& outside);
  void set_part(Kept& kept) const;

  std::string name_, variable_, json_key_;
  std::unique_ptr<SourceKind> kind_;  ///< null: immediate
  std::int64_t ttl_ns_ = 0, failure_ttl_ns_ = 0;
  MakeForms make_forms_;
  bool is_key_ = true;

  // Of an immediate one; any thread.
  const SecretEnvironment* environment_;
  decltype(Services::secret_failed) failed_;
  Secret written_;  ///< the configuration's own
  mutable std::atomic<const Supplied*> ready_ = nullptr;
  mutable std::atomic<std::int64_t> retry_at_ns_ = INT64_MIN;
  mutable std::once_flag made_once_;
  mutable std::unique_ptr<const Supplied> made_;
  Supplied missing_;

  // Of the others; the thread of calls alone.
  Kept kept_;
};

}  // namespace iron::transforms
