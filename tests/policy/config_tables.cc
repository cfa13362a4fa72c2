// Prints the tables of configuration keys that stand in the documents; tests/tools/write_tables
// puts them there.
#include <cstdio>
#include <string>

#include "tests/policy/config_text.h"

namespace iron::policy {
namespace {

/// A block that the documents say something about has a table of its own.
bool has_own_table(const ConfigKey& key) { return key.is_block() && !key.meaning.empty(); }

bool is_below(const ConfigKey& key, const ConfigKey& block) {
  return key.path.starts_with(std::string(block.path) + '.');
}

bool is_in_own_table(const ConfigKey& key) {
  for (const ConfigKey& block : config_keys())
    if (has_own_table(block) && is_below(key, block)) return true;
  return false;
}

void print_row(std::initializer_list<std::string> cells) {
  for (const std::string& cell : cells) std::printf(cell.empty() ? "|%s " : "| %s ", cell.c_str());
  std::puts("|");
}

std::string code(std::string_view text) {
  return text.empty() ? std::string() : '`' + std::string(text) + '`';
}

std::string environment_text(const ConfigKey& key) {
  return code(key.environment == nullptr ? "" : key.environment);
}

void print_keys() {
  std::puts("<!-- table: keys -->");
  print_row({"key", "type", "default", "environment", "reload", "meaning"});
  print_row({"---", "---", "---", "---", "---", "---"});
  for (const ConfigKey& key : config_keys()) {
    if (is_in_own_table(key) || (key.is_block() && !has_own_table(key))) continue;
    const std::string path = std::string(key.path) + (key.is_block() ? ".*" : "");
    print_row({code(path), type_text(key), default_text(key), environment_text(key),
               reload_text(key), std::string(key.meaning)});
  }
  std::puts("<!-- end -->");
}

/// The keys of a block of which all have no variable and need a restart.
void print_block(const ConfigKey& block) {
  const std::string_view name = block.path.substr(block.path.rfind('.') + 1);
  std::printf("<!-- table: %.*s -->\n", static_cast<int>(name.size()), name.data());
  print_row({"key", "type", "default", "meaning"});
  print_row({"---", "---", "---", "---"});
  for (const ConfigKey& key : config_keys()) {
    if (!is_below(key, block)) continue;
    print_row({code(key.path.substr(block.path.size() + 1)), type_text(key), default_text(key),
               std::string(key.meaning)});
  }
  std::puts("<!-- end -->");
}

}  // namespace
}  // namespace iron::policy

int main() {
  using namespace iron::policy;
  print_keys();
  for (const ConfigKey& key : config_keys())
    if (has_own_table(key)) print_block(key);
}
