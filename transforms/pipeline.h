#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/config/config.h"
#include "policy/secret/secret.h"
#include "policy/warnings.h"
#include "transforms/key_net.h"
#include "transforms/note.h"
#include "transforms/program_need.h"
#include "transforms/transform.h"

namespace iron::transforms {

/// What a transform may use while it is built and while it runs.
struct Services {
  SecretEnvironment* environment = nullptr;
  /// WARN `failed to fetch secret, caching error`; thread safe.
  std::function<void(const std::string& secret, const std::string& error, std::int64_t retry_in_ns)>
      secret_failed;
  /// Whether a file that is named now can be read once the process is confined; null: it is not
  /// yet, and what is needed is granted.
  std::function<bool(const std::string& path)> may_read;
  /// Whether a program can be run that is named now; null: it is the start, which makes it so.
  std::function<bool(const ProgramNeed& program)> may_run;
  std::chrono::system_clock::time_point (*now)() = std::chrono::system_clock::now;
  /// A WARN of the log; thread safe.
  std::function<void(std::string_view message, std::span<const Note> attributes)> warn;
};

/// What the transforms of a pipeline need of the world outside, collected while they are built.
struct Needs {
  std::vector<Supply*> supplies;
  std::vector<std::string> files;     ///< that are read while serving
  std::vector<ProgramNeed> programs;  ///< that are run while serving
};

/// The configured transforms in order. Immutable, shared by all workers through the snapshot.
class Pipeline {
 public:
  /// Throws ConfigError: `unknown transform "x": unknown transform: "x"`,
  /// `initializing transform "NAME": TEXT`, `transform "x" is not supported by this build`.
  /// Appends the warnings of docs/configuration.md, "Warnings at start".
  Pipeline(const policy::Config& config,
           const Services& services,
           std::vector<policy::ConfigWarning>& warnings);
  ~Pipeline();

  enum class Progress { done, rejected, answered, failed, need_body, wait };
  /// Runs from exchange.next_transform. `need_body`: load `need` of the body into exchange.body,
  /// set `loaded` and call again. Never asked for a body that was loaded whole, or is not present.
  /// `wait`: get exchange.awaited, put it into exchange.supplied and call again. `answered`:
  /// exchange.answer is the answer.
  Progress run_request(Exchange& exchange, BodyNeed& need) const;
  /// Whether the transform that asked for the body has an answer of its own for one that is too
  /// large; `body.too_large` is to be set, and the pipeline run again.
  bool judges_large_body(const Exchange& exchange) const;
  /// The body asked for cannot be had: the transform that needs it ends the pipeline with an error.
  void fail_body(Exchange& exchange, std::string_view error) const;
  bool needs_response_body() const { return needs_response_body_; }
  /// Returns done or failed (exchange.error is set).
  Progress run_response(Exchange& exchange) const;

  /// Whether keys are put into requests at all.
  bool gives_keys() const { return gives_keys_; }
  /// Whether scrub_entries() may ever add anything.
  bool scrubs() const { return scrubs_; }
  /// What must be filtered out of answers of the request's host, in the order of the transforms.
  void scrub_entries(Exchange& exchange, std::vector<ScrubEntry>& out) const;

  /// What finds the keys of this pipeline in text. Outlives it.
  std::shared_ptr<const KeyNet> key_net() const { return key_net_; }
  /// The same with what its supplies have got meanwhile.
  std::shared_ptr<const KeyNet> key_net_with(const std::vector<SuppliedPtr>& slots) const;
  /// How many supplies there are, each with a slot.
  std::size_t supply_count() const { return needs_.supplies.size(); }
  Supply& supply(std::uint32_t slot) const { return *needs_.supplies[slot]; }
  /// Files that are read while serving.
  const std::vector<std::string>& files() const { return needs_.files; }
  /// Programs that are run while serving; one may be named more than once.
  const std::vector<ProgramNeed>& programs() const { return needs_.programs; }

  bool empty() const { return transforms_.empty(); }
  /// `allowlist → secrets`
  std::string joined_names() const;

 private:
  Needs needs_;
  std::vector<std::unique_ptr<const Transform>> transforms_;
  std::vector<const Secret*> keys_;
  std::shared_ptr<const KeyNet> key_net_;
  bool needs_response_body_ = false;
  bool scrubs_ = false, gives_keys_ = false;
};

}  // namespace iron::transforms
