#include "transforms/formatter/formatter.h"

#include "transforms/formatter/formatter_program.h"
#include "transforms/formatter/formatter_run.h"

namespace iron::transforms {

struct Formatter::Program {
  formatter::Parsed parsed;
};

Formatter::Formatter(std::string name, std::string_view text)
    : program_(std::make_unique<const Program>(Program{formatter::parse(std::move(name), text)})) {}

Formatter::~Formatter() = default;

Result<Secret> Formatter::run(const Secret& value) const {
  return formatter::run(program_->parsed, value);
}

}  // namespace iron::transforms
