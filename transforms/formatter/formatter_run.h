#pragma once

#include "policy/result.h"
#include "policy/secret/secret.h"
#include "transforms/formatter/formatter.h"
#include "transforms/formatter/formatter_program.h"

namespace iron::transforms::formatter {

/// Carries out a template. See Formatter::run.
Result<Secret> run(const Parsed& parsed, const TemplateData& data);

}  // namespace iron::transforms::formatter
