#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "policy/yaml/yaml_reader.h"
#include "tests/transforms/fake_outside.h"
#include "transforms/registry.h"
#include "transforms/sources/secret_source.h"

namespace iron::transforms {

/// A source from its block.
class BuiltSource {
 public:
  explicit BuiltSource(const std::string& yaml) : node_(policy::parse_yaml(yaml)) {
    services_.environment = &environment_;
    source = std::make_unique<SecretSource>(
        node_.get(), "source",
        BuildContext{nullptr, {}, "proxy.yaml", services_, warnings, risks_, needs});
  }
  /// The value, or `!` and the error.
  std::string get(FakeOutside& outside) {
    last = result_of(source->fetch(outside));
    return last.value != nullptr ? text_of(*last.value) : "!" + last.error;
  }

  std::unique_ptr<SecretSource> source;
  std::vector<policy::ConfigWarning> warnings;
  Needs needs;
  Supplied last;

 private:
  std::shared_ptr<const policy::YamlNode> node_;
  SecretEnvironment environment_;
  Services services_;
  Risks risks_;
};

/// What is wrong with the block; `none`.
inline std::string fault_of(const std::string& yaml) {
  try {
    const BuiltSource built(yaml);
  } catch (const policy::ConfigError& error) {
    return error.text();
  }
  return "none";
}

}  // namespace iron::transforms
