#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>

#include "policy/config/config.h"

namespace iron::policy {

/// Sets variables and puts the old ones back.
class Environment {
 public:
  void set(const std::string& name, const char* value) {
    const char* old = getenv(name.c_str());
    before_.emplace(name, old == nullptr ? std::nullopt : std::optional<std::string>(old));
    if (value == nullptr)
      unsetenv(name.c_str());
    else
      setenv(name.c_str(), value, 1);
  }
  ~Environment() {
    for (const auto& [name, value] : before_)
      value ? setenv(name.c_str(), value->c_str(), 1) : unsetenv(name.c_str());
  }

 private:
  std::map<std::string, std::optional<std::string>> before_;
};

class ConfigTest : public ::testing::Test {
 protected:
  ConfigTest() {
    std::string pattern = ::testing::TempDir() + "iron-config-XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~ConfigTest() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name = "c.yaml") const { return folder_ + "/" + name; }

  Config load(const std::string& text) {
    std::ofstream(path()) << text;
    return load_config(path());
  }

  std::string load_fault(const std::string& text) {
    return fault([&] { load(text); });
  }
  /// Of a configuration that is valid but for `text`.
  std::string check_fault(const std::string& text, ValidateFor purpose = ValidateFor::start) {
    return fault([&] { validate(load(text), purpose); });
  }

  template <class Action>
  static std::string fault(Action action) {
    try {
      action();
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  }

  std::string folder_;
  Environment environment_;
};

}  // namespace iron::policy
