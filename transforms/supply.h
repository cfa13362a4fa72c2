#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "policy/secret/secret.h"
#include "policy/task.h"

namespace iron::transforms {

class KeyNet;
class Outside;
class SecretForms;

/// A key that several may hold: wiped when the last of them lets it go, or one of the environment,
/// which stays.
using SecretPtr = std::shared_ptr<const Secret>;

/// What a supply has for requests: a value, or why there is none. Immutable.
struct Supplied {
  SecretPtr value;                           ///< null: see `error`
  std::shared_ptr<const SecretForms> forms;  ///< of `value`, where the supply makes them
  std::string error;                         ///< holds no key
  std::string reason;                        ///< short, for annotations; may be empty
  std::string about;                         ///< public: whose token it is, which part of it failed
  /// Until then it is used without asking, by the monotonic clock; before now: it is for those who
  /// asked for it alone.
  std::int64_t until_ns = INT64_MIN;
  bool is_key = true;  ///< false: it may stand in the log
  /// What finds them in text, as of when they came; null until then.
  std::shared_ptr<const KeyNet> net;
  /// Further keys of it, for the log's net and for who signs with several.
  std::vector<SecretPtr> keys;
};
using SuppliedPtr = std::shared_ptr<const Supplied>;

/// Something that takes calls to get and is then kept for a time: the value of a source, a token.
/// Lives as long as its pipeline. What it keeps between fetches is touched on the thread of calls
/// alone.
class Supply {
 public:
  virtual ~Supply() = default;
  /// Gets it, on the thread of calls; never twice at once. `outside` ends what takes too long.
  virtual Task<Supplied> fetch(Outside& outside) = 0;
  /// Whether those who wait for a fetch that fails try again one by one, instead of failing with
  /// it.
  virtual bool retried_by_each() const { return false; }
  /// Whether each use wants a fetch that began behind it.
  virtual bool fetched_for_each_use() const { return false; }

  /// Its place in Values; given by the pipeline.
  std::uint32_t slot() const { return slot_; }

 private:
  friend class Pipeline;
  std::uint32_t slot_ = UINT32_MAX;
};

/// What the supplies of a pipeline had at a time. Immutable, published to the workers like a
/// snapshot; a request keeps the one it began with.
struct Values {
  std::vector<SuppliedPtr> slots;     ///< by Supply::slot(); null: never fetched
  std::shared_ptr<const KeyNet> net;  ///< of these and of the pipeline's other keys
};
using ValuesPtr = std::shared_ptr<const Values>;

}  // namespace iron::transforms
