#include "policy/config/state_file.h"

#include <sys/stat.h>

#include <cstdlib>

#include "policy/config_error.h"

namespace iron::policy {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

[[noreturn]] void fail_locating(const char* why) {
  throw ConfigError(std::string("determining config directory: ") + why);
}

[[noreturn]] void refuse(const std::string& what) {
  throw ConfigError(what + " is not supported by this build");
}

}  // namespace

std::string state_file_path() {
  if (auto path = variable("IRON_STATE_STORE"); !path.empty()) return path;
  if (auto folder = variable("XDG_CONFIG_HOME"); !folder.empty()) {
    if (folder[0] != '/') fail_locating("path in $XDG_CONFIG_HOME is relative");
    return folder + "/iron-proxy/state";
  }
  const auto home = variable("HOME");
  if (home.empty()) fail_locating("neither $XDG_CONFIG_HOME nor $HOME are defined");
  return home + "/.config/iron-proxy/state";
}

void refuse_managed_mode(const std::string& token_of_flag) {
  const std::string path = state_file_path();
  if (!token_of_flag.empty()) refuse("-enrollment-token");
  if (!variable("IRON_ENROLLMENT_TOKEN").empty()) refuse("IRON_ENROLLMENT_TOKEN");
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0) refuse(path);
}

}  // namespace iron::policy
