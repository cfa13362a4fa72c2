#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "policy/secret/secret.h"
#include "transforms/body_coding.h"
#include "transforms/formatter/formatter.h"
#include "transforms/scrub_forms.h"
#include "transforms/supply.h"

namespace iron::transforms {

/// One value of an entry of `secrets` with all that is derived from it, each made at its first use
/// and kept as long as the value. Thread safe.
class SecretForms {
 public:
  /// A formatted value, or why there is none.
  struct Injected {
    const Secret* value = nullptr;
    const std::string* error = nullptr;
  };

  /// `formatter`: of an entry that injects and has one, which outlives it; else null.
  SecretForms(SecretPtr value, const Formatter* formatter)
      : value_(std::move(value)), formatter_(formatter) {}
  SecretForms(const SecretForms&) = delete;

  const Secret& value() const { return *value_; }
  /// What an entry that injects puts in.
  Injected injected() const;
  /// What is put into a body of that coding: the value itself where it holds nothing special.
  const Secret& in_body(BodyCoding coding) const;
  /// How answers may show it.
  const ScrubForms& scrub_forms() const;

 private:
  const SecretPtr value_;
  const Formatter* const formatter_;
  mutable std::once_flag formatted_once_;
  mutable std::optional<Secret> formatted_;
  mutable std::string format_error_;
  mutable std::once_flag form_once_, json_once_;
  mutable std::optional<Secret> form_encoded_, json_escaped_;
  mutable std::once_flag scrub_once_;
  mutable std::optional<ScrubForms> scrub_forms_;
};

}  // namespace iron::transforms
