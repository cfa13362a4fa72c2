#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/transforms/fake_outside.h"
#include "transforms/pipeline.h"
#include "transforms/rewrite.h"

namespace iron::transforms {

/// Variables and their values.
using Env = std::vector<std::pair<std::string, std::string>>;

/// A pipeline from YAML, requests through it, and what would leave.
class Rig {
 public:
  using Progress = Pipeline::Progress;

  explicit Rig(Env environment = {});

  /// Adds a transform with this `config`.
  Rig& with(const std::string& name, const std::string& yaml);
  /// `secrets` with these entries (a YAML list).
  Rig& secrets(const std::string& entries);
  Pipeline& pipeline();
  /// The text of the ConfigError that building gives; empty if it works.
  std::string build_error();
  /// The reasons and keys of the `risky setting` warnings, `KEYS: REASON`, or `KEY: REASON
  /// (NUMBER)`.
  std::vector<std::string> risks();

  /// Prepares the exchange for `METHOD TARGET` to `host` with these `Name: value` fields.
  Rig& request(const std::string& line,
               std::vector<std::string> fields = {},
               const std::string& host = "api.test");
  Rig& body(const std::string& bytes);
  /// The body came in chunks.
  Rig& chunked(const std::string& bytes);
  /// Bodies above it are too large.
  Rig& limit(std::uint64_t bytes);
  /// A CONNECT check of `host`.
  Rig& tunnel(std::vector<std::string> fields = {}, const std::string& host = "api.test");
  /// Runs the request phase; a body that is asked for is handed over as asked, and what is waited
  /// for comes from `outside`.
  Progress run();

  std::string target() const;
  /// `Name: value` as sent.
  std::vector<std::string> fields() const;
  std::string sent_body() const;
  /// Annotations of the last run's entry.
  const std::string& annotations(std::size_t index = 0) const;

  Exchange exchange;
  FakeOutside outside;              ///< what supplies are fetched from
  std::vector<std::string> warned;  ///< `message key=value` of the lines at run time
  std::vector<policy::ConfigWarning> warnings;
  std::vector<std::string> failures;  ///< `NAME ERROR RETRY` of the secrets that failed
  BodyNeed last_need;
  bool refused_path = false;  ///< of request(): dot segments that no policy sees

 private:
  policy::Config config_;
  std::unique_ptr<SecretEnvironment> environment_ = std::make_unique<SecretEnvironment>();
  std::unique_ptr<Pipeline> pipeline_;
  std::uint64_t limit_ = UINT64_MAX;
  std::string line_, body_, host_;
  std::vector<std::string> field_texts_;
};

}  // namespace iron::transforms
