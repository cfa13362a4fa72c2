#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "policy/secret/secret.h"

// NOLINTNEXTLINE(readability-redundant-declaration): not declared by every C library.
extern char** environ;

namespace iron {
namespace {

/// The value of `entry` if it is `variable=…`, else null.
char* value_in(char* entry, const std::string& variable) {
  if (std::strncmp(entry, variable.c_str(), variable.size()) != 0) return nullptr;
  return entry[variable.size()] == '=' ? entry + variable.size() + 1 : nullptr;
}

/// Moves the value out of the environment. A repeated entry is overwritten too; the first one
/// counts, as for getenv().
Secret take_value(const std::string& variable) {
  Secret taken;
  bool first = true;
  if (variable.empty() || environ == nullptr) return taken;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    char* value = value_in(*entry, variable);
    if (value == nullptr) continue;
    const std::size_t size = std::strlen(value);
    if (std::exchange(first, false)) taken = Secret::copy_of({value, size});
    // Blanks, not zeros: readers of /proc/<pid>/environ stop at an empty entry.
    wipe({value, size});
    std::memset(value, ' ', size);
  }
  return taken;
}

}  // namespace

struct SecretEnvironment::State {
  std::mutex mutex;
  std::map<std::string, Secret> values;

  const Secret* find(const std::string& variable) {
    const std::scoped_lock lock(mutex);
    const auto known = values.find(variable);
    if (known != values.end()) return &known->second;
    Secret value = take_value(variable);
    if (value.empty()) return nullptr;
    return &values.emplace(variable, std::move(value)).first->second;
  }
};

SecretEnvironment::SecretEnvironment() : state_(new State) {}
SecretEnvironment::~SecretEnvironment() { delete state_; }

void SecretEnvironment::take(const std::string& variable) { state_->find(variable); }

const Secret* SecretEnvironment::find(const std::string& variable) const {
  return state_->find(variable);
}

}  // namespace iron
