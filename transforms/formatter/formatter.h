#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "policy/result.h"
#include "policy/secret/secret.h"

namespace iron::transforms {

/// A template that makes a text out of a secret value: the subset of Go's text/template that
/// docs/secrets.md, "Formatters" lists. Immutable; run() is thread safe.
class Formatter {
 public:
  /// Throws ConfigError `template: NAME:1: …` for what does not parse or is not supported.
  Formatter(std::string name, std::string_view text);
  ~Formatter();
  Formatter(const Formatter&) = delete;
  Formatter& operator=(const Formatter&) = delete;

  /// The text for `value`. Fails with `template: NAME:1:3: executing "NAME" at <.Nope>: …`, which
  /// never holds a byte of the value. All intermediate texts are Secrets.
  Result<Secret> run(const Secret& value) const;

 private:
  struct Program;
  std::unique_ptr<const Program> program_;
};

}  // namespace iron::transforms
