#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/result.h"
#include "policy/secret/secret.h"

namespace iron::transforms {

/// What a template reads: texts by name, and maps of texts. Nothing is copied.
struct TemplateData {
  using Texts = std::vector<std::pair<std::string_view, std::string_view>>;
  const char* type;                                        ///< as error texts name it
  Texts texts;                                             ///< `.Name`
  std::vector<std::pair<std::string_view, Texts>> maps{};  ///< `.Name.key`
};

/// A template that makes a text out of secret values: the subset of Go's text/template that
/// docs/secrets.md, "Formatters" lists. Immutable; run() is thread safe.
class Formatter {
 public:
  /// Which functions there are besides those of the language.
  enum class Functions { plain, with_base64 };
  /// Throws ConfigError `template: NAME:1: …` for what does not parse or is not supported.
  Formatter(std::string name, std::string_view text, Functions functions = Functions::with_base64);
  ~Formatter();
  Formatter(const Formatter&) = delete;
  Formatter& operator=(const Formatter&) = delete;

  /// The text for `data`. Fails with `template: NAME:1:3: executing "NAME" at <.Nope>: …`, which
  /// never holds a byte of the values. All intermediate texts are Secrets.
  Result<Secret> run(const TemplateData& data) const;
  /// The same for `.Value` alone.
  Result<Secret> run(const Secret& value) const;

 private:
  struct Program;
  std::unique_ptr<const Program> program_;
};

}  // namespace iron::transforms
