#include "transforms/formatter/formatter.h"

#include "transforms/formatter/formatter_program.h"
#include "transforms/formatter/formatter_run.h"

namespace iron::transforms {

struct Formatter::Program {
  formatter::Parsed parsed;
};

Formatter::Formatter(std::string name, std::string_view text, Functions functions)
    : program_(std::make_unique<const Program>(
          Program{formatter::parse(std::move(name), text, functions == Functions::with_base64)})) {}

Formatter::~Formatter() = default;

Result<Secret> Formatter::run(const TemplateData& data) const {
  return formatter::run(program_->parsed, data);
}

Result<Secret> Formatter::run(const Secret& value) const {
  return run(TemplateData{"secrets.formatterData", {{"Value", value.reveal()}}});
}

}  // namespace iron::transforms
