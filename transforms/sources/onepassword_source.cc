#include <utility>

#include "policy/config_error.h"
#include "policy/quote.h"
#include "transforms/sources/call_parts.h"
#include "transforms/sources/source_kind.h"

namespace iron::transforms {
namespace {

/// The variable that the program looks at, whatever ours is called.
constexpr const char* kVariable = "OP_SERVICE_ACCOUNT_TOKEN";

ProgramNeed program_of(const std::string& reference) {
  return {"op", {"read", "--no-newline", reference}, kVariable};
}

/// A secret of a 1Password service account, read by 1Password's own program: how it is had over the
/// wire is not published.
class OnePasswordSource final : public SourceKind {
 public:
  OnePasswordSource(std::string reference, std::string variable)
      : reference_(std::move(reference)), variable_(std::move(variable)) {}
  std::string name() const override { return reference_; }

  Task<Result<Secret>> get(Outside& outside) override {
    token_ = outside.secret_variable(variable_);
    if (token_ == nullptr) {
      co_return fail("creating 1password client: env var " + policy::quoted(variable_) +
                     " is not set or empty");
    }
    const ProgramRun program{program_of(reference_), token_};
    Result<Secret> value = co_await outside.run(program);
    const std::string shown = policy::quoted(reference_);
    if (value.has_error()) {
      if (value.error().fault == Fault::gone) {
        co_return fail(
            "creating 1password client: 1Password service account support needs the \"op\" program "
            "in PATH");
      }
      co_return fail("resolving 1password secret " + shown + ": " +
                     told(value.error().text, {token_}));
    }
    if (value->empty()) co_return fail("1password secret " + shown + " resolved to empty value");
    co_return std::move(value);
  }
  std::vector<SecretPtr> keys_shown() const override { return {token_}; }

 private:
  const std::string reference_, variable_;
  SecretPtr token_;
};

}  // namespace

std::unique_ptr<SourceKind> make_onepassword_source(const SourceBlock& block) {
  std::string reference = block.text("secret_ref");
  std::string variable = block.text("token_env");
  if (variable.empty()) variable = kVariable;
  block.require("secret_ref", reference);
  if (!reference.starts_with("op://")) {
    throw policy::ConfigError("1password secret_ref " + policy::quoted(reference) +
                              " must start with \"op://\"");
  }
  block.take(variable);
  block.context.need_program(program_of(reference));
  return std::make_unique<OnePasswordSource>(std::move(reference), std::move(variable));
}

}  // namespace iron::transforms
