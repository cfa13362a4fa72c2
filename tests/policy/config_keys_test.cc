#include "policy/config/config_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/pfr.hpp>
#include <map>
#include <optional>
#include <set>
#include <type_traits>

#include "tests/policy/config_fixture.h"
#include "tests/policy/config_text.h"

namespace iron::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <class Value>
constexpr bool is_list = false;
template <class Value>
constexpr bool is_list<std::vector<Value>> = true;

/// Calls `use` with every member of `block` and of the blocks in it.
template <class Block, class Use>
void walk(Block& block, const Use& use) {
  boost::pfr::for_each_field(block, [&](auto& member) {
    if constexpr (std::is_aggregate_v<std::remove_reference_t<decltype(member)>>)
      walk(member, use);
    else
      use(&member);
  });
}

class ConfigKeysTest : public ConfigTest {
 protected:
  ConfigKeysTest() {
    for (const ConfigKey& key : config_keys())
      if (key.environment != nullptr) environment_.set(key.environment, nullptr);
  }

  /// What a configuration needs before its other values are looked at.
  void set_what_is_required() {
    environment_.set("IRON_DNS_PROXY_IP", "127.0.0.1");
    environment_.set("IRON_TLS_CA_CERT", "a");
    environment_.set("IRON_TLS_CA_KEY", "b");
  }

  /// A file with that one key.
  static std::string file_with(const ConfigKey& key, const std::string& value) {
    std::string out, indent;
    std::string_view rest = key.path;
    for (std::size_t dot; (dot = rest.find('.')) != rest.npos; rest.remove_prefix(dot + 1)) {
      out += indent + std::string(rest.substr(0, dot)) + ":\n";
      indent += "  ";
    }
    return out + indent + std::string(rest) + ": " + value + "\n";
  }

  static bool is_default(const ConfigKey& key, const Config& config) {
    const Config standard = load_config("");
    return equal(key, config, standard);
  }

  static bool equal(const ConfigKey& key, const Config& one, const Config& other) {
    bool result = false;
    with_member(key, [&](const auto& a, const auto& b) { result = same(a, b); }, one, other);
    return result;
  }
  template <class Value>
  static bool same(const Value& a, const Value& b) {
    return a == b;
  }
  static bool same(const std::vector<TransformConfig>& a, const std::vector<TransformConfig>& b) {
    return std::ranges::equal(a, b, {}, &TransformConfig::name, &TransformConfig::name);
  }

  /// Another value than the default.
  static void change(bool& value) { value = !value; }
  static void change(std::int64_t& value) { value += 1; }
  static void change(Duration& value) { value += std::chrono::seconds(1); }
  static void change(std::string& value) { value += "x"; }
  static void change(ProxyUrl& value) { value = ProxyUrl::parse("http://x"); }
  template <class Value>
  static void change(std::vector<Value>& value) {
    value.emplace_back();
  }
};

TEST_F(ConfigKeysTest, EveryMemberOfConfigHasOneKey) {
  Config config;
  std::map<const void*, int> keys_of;
  walk(config, [&](const void* member) { keys_of[member] = 0; });
  ASSERT_GT(keys_of.size(), 40U);
  for (const ConfigKey& key : config_keys()) {
    const void* member = nullptr;
    with_member(key, [&](auto& value) { member = &value; }, config);
    if (key.present != nullptr) member = &key.present(config);
    if (key.is_block() && key.present == nullptr) continue;
    ASSERT_TRUE(keys_of.contains(member)) << key.path;
    ++keys_of[member];
  }
  EXPECT_EQ(keys_of[&config.path], 0);  // the one that no file holds
  keys_of.erase(&config.path);
  for (const auto& [member, count] : keys_of) {
    EXPECT_EQ(count, 1) << "keys of the member at byte "
                        << static_cast<const char*>(member) - reinterpret_cast<const char*>(&config)
                        << " of Config";
  }
}

TEST_F(ConfigKeysTest, TheTableIsWellFormed) {
  std::set<std::string_view> paths, blocks = {""};
  for (const ConfigKey& key : config_keys()) {
    EXPECT_TRUE(paths.insert(key.path).second) << key.path;
    const std::size_t dot = key.path.rfind('.');
    EXPECT_TRUE(blocks.contains(dot == key.path.npos ? "" : key.path.substr(0, dot)))
        << key.path << " comes before its block";
    if (key.is_block()) {
      blocks.insert(key.path);
      continue;
    }
    EXPECT_NE(key.meaning, "") << key.path;
    EXPECT_EQ(key.allowed.empty(), key.check != Check::one_of && key.check != Check::log_level)
        << key.path;
    std::string variable = "IRON_" + std::string(key.path);
    for (char& c : variable) c = c == '.' ? '_' : static_cast<char>(std::toupper(c));
    if (key.environment != nullptr) {
      EXPECT_EQ(key.environment, variable);
    }
    // The table of limits shows neither.
    if (!key.path.starts_with("proxy.limits.")) continue;
    EXPECT_EQ(key.environment, nullptr) << key.path;
    EXPECT_EQ(key.reload, Reload::restart) << key.path;
  }
}

TEST_F(ConfigKeysTest, AnEmptyFileIsTheStandardConfiguration) {
  const Config standard = standard_config(), empty = load("{}"), without = load_config("");
  for (const ConfigKey& key : config_keys()) {
    if (key.is_block()) continue;
    EXPECT_TRUE(equal(key, standard, empty)) << key.path;
    EXPECT_TRUE(equal(key, standard, without)) << key.path;
  }
}

/// The default of the documents as it would be written into a file; none where they use words.
std::optional<std::string> written_default(const ConfigKey& key) {
  if (!key.default_words.empty()) return std::nullopt;
  std::string text = default_text(key);
  std::erase(text, '`');
  bool list = false;
  const Config standard;
  const auto look = [&](const auto& value) {
    list = is_list<std::remove_cvref_t<decltype(value)>>;
  };
  with_member(key, look, standard);
  if (text == "empty") text.clear();
  if (!list) return text.find(':') == text.npos ? text : "'" + text + "'";
  for (std::size_t at = 0; (at = text.find(", ", at)) != text.npos; at += 4)
    text.replace(at, 2, "', '");
  return text.empty() ? "[]" : "['" + text + "']";
}

TEST_F(ConfigKeysTest, EveryKeyTakesTheDefaultThatTheDocumentsShow) {
  int shown = 0;
  for (const ConfigKey& key : config_keys()) {
    if (key.is_block()) continue;
    const auto text = written_default(key);
    if (!text) continue;
    ++shown;
    const std::string file = file_with(key, *text);
    SCOPED_TRACE(file);
    ASSERT_EQ(load_fault(file), "accepted");
    EXPECT_TRUE(is_default(key, load(file)));
  }
  EXPECT_GT(shown, 30);
}

TEST_F(ConfigKeysTest, EveryKeyIsReadIntoItsMember) {
  const Config standard = load_config("");
  for (const ConfigKey& key : config_keys()) {
    if (key.is_block()) continue;
    std::string value;
    if (!key.allowed.empty()) value = key.allowed.back();
    const auto choose = [&](const auto& member) {
      using Value = std::remove_cvref_t<decltype(member)>;
      if constexpr (std::is_same_v<Value, bool>) value = member ? "false" : "true";
      if constexpr (std::is_same_v<Value, std::int64_t>) value = "7";
      if constexpr (std::is_same_v<Value, Duration>) value = "7s";
      if constexpr (std::is_same_v<Value, std::string>) value = value.empty() ? "x" : value;
      if constexpr (std::is_same_v<Value, ProxyUrl>) value = "x";
      if constexpr (std::is_same_v<Value, std::vector<std::string>>) value = "[10.0.0.0/8]";
      if constexpr (is_list<Value> && !std::is_same_v<Value, std::vector<std::string>>)
        value = "[{}]";
    };
    with_member(key, choose, standard);
    const Config config = load(file_with(key, value));
    for (const ConfigKey& other : config_keys()) {
      // Where somebody listens, the name of the variable has a default.
      if (key.path == "management.listen" && other.path == "management.api_key_env") continue;
      if (other.is_block()) continue;
      EXPECT_EQ(is_default(other, config), other.path != key.path)
          << other.path << " with " << key.path << ": " << value;
    }
  }
}

TEST_F(ConfigKeysTest, ZeroAndEmptyAreTheDefaultExceptWhereTheyCount) {
  for (const ConfigKey& key : config_keys()) {
    std::string zero;
    const auto choose = [&](const auto& member) {
      using Value = std::remove_cvref_t<decltype(member)>;
      if constexpr (std::is_same_v<Value, std::int64_t>) zero = "0";
      if constexpr (std::is_same_v<Value, Duration>) zero = "0s";
      if constexpr (std::is_same_v<Value, std::string>) zero = "''";
    };
    const Config standard;
    with_member(key, choose, standard);
    if (zero.empty()) continue;
    EXPECT_EQ(is_default(key, load(file_with(key, zero))), !key.zero_counts) << key.path;
    EXPECT_EQ(key.zero_counts, key.path == "proxy.drain_timeout") << key.path;
  }
}

/// The fault of a value that is `{a: b}` or `x`, as users know it.
std::string type_fault(const ConfigKey& key, const std::string& value) {
  const std::string form = "parsing config: yaml: unmarshal errors:\n  line ";
  const auto lines = std::to_string(std::ranges::count(key.path, '.') + 1);
  const auto cannot = [&](const std::string& tag, const std::string& type) {
    return form + lines + ": cannot unmarshal " + tag + " into " + type;
  };
  const std::string word = "!!str `x`", map = "!!map";
  const std::string tag = value == "x" ? word : map;
  if (key.is_block()) return cannot(word, std::string(key.error_type));
  std::string fault;
  const Config standard;
  const auto choose = [&](const auto& member) {
    using Value = std::remove_cvref_t<decltype(member)>;
    if constexpr (std::is_same_v<Value, bool>) fault = cannot(tag, "bool");
    if constexpr (std::is_same_v<Value, std::int64_t>)
      fault = cannot(tag, std::string(key.error_type));
    if constexpr (std::is_same_v<Value, Duration>) {
      fault = value == "x" ? "parsing config: time: invalid duration \"x\"" : cannot(map, "string");
    }
    if constexpr (std::is_same_v<Value, std::string> || std::is_same_v<Value, ProxyUrl>)
      fault = value == "x" ? "accepted" : cannot(map, "string");
    if constexpr (std::is_same_v<Value, std::vector<std::string>>) fault = cannot(tag, "[]string");
    if constexpr (std::is_same_v<Value, std::vector<DnsRecord>>)
      fault = cannot(tag, "[]config.DNSRecord");
    if constexpr (std::is_same_v<Value, std::vector<PassThroughEntry>>)
      fault = cannot(tag, "[]config.Passthrough");
    if constexpr (std::is_same_v<Value, std::vector<TransformConfig>>)
      fault = cannot(tag, "[]config.Transform");
  };
  with_member(key, choose, standard);
  return fault;
}

TEST_F(ConfigKeysTest, AWrongTypeIsRefusedByName) {
  for (const ConfigKey& key : config_keys()) {
    EXPECT_EQ(load_fault(file_with(key, "x")), type_fault(key, "x")) << key.path;
    if (key.is_block()) continue;
    EXPECT_EQ(load_fault(file_with(key, "{a: b}")), type_fault(key, "{a: b}")) << key.path;
  }
}

TEST_F(ConfigKeysTest, NoOtherKeyIsKnown) {
  for (const ConfigKey& key : config_keys()) {
    if (!key.is_block()) continue;
    EXPECT_THAT(load_fault(file_with(key, "{zzz: 1}")),
                HasSubstr("field zzz not found in type " + std::string(key.error_type)));
  }
  // A name of one block is none of another: all names of the table, in every block.
  std::set<std::string> names;
  for (const ConfigKey& key : config_keys())
    names.emplace(key.path.substr(key.path.rfind('.') + 1));  // npos + 1 is 0
  for (const ConfigKey& block : config_keys()) {
    if (!block.is_block()) continue;
    for (const std::string& name : names) {
      const std::string path = std::string(block.path) + "." + name;
      const bool known =
          std::ranges::find(config_keys(), path, &ConfigKey::path) != config_keys().end();
      const std::string fault = load_fault(file_with(block, "{" + name + ": ~}"));
      EXPECT_EQ(fault == "accepted", known) << path << ": " << fault;
    }
  }
}

TEST_F(ConfigKeysTest, ChecksBoundsAndSets) {
  set_what_is_required();
  const auto faults_of = [this](const ConfigKey& key, const std::string& value) {
    const std::string file = file_with(key, value);
    const std::string start = check_fault(file), reload = check_fault(file, ValidateFor::reload);
    EXPECT_TRUE(start == reload || key.check == Check::log_level) << start << reload;
    return reload;
  };
  std::map<Check, int> seen;
  for (const ConfigKey& key : config_keys()) {
    if (key.is_block()) continue;
    ++seen[key.check];
    const std::string path(key.path);
    const bool duration = type_text(key) == "duration";
    const std::string below = duration ? "-1ns" : "-1";
    switch (key.check) {
      case Check::not_negative:
        EXPECT_EQ(faults_of(key, below), path + " must not be negative; got " + below);
        EXPECT_EQ(faults_of(key, duration ? "1ns" : "1"), "accepted");
        break;
      case Check::positive:
        EXPECT_EQ(faults_of(key, below), path + " must be positive; got " + below);
        EXPECT_EQ(faults_of(key, duration ? "1ns" : "1"), "accepted");
        break;
      case Check::one_of:
        ASSERT_EQ(key.allowed.size(), 2U);
        EXPECT_EQ(faults_of(key, "'x\"'"), path + " must be \"" + std::string(key.allowed[0]) +
                                               "\" or \"" + std::string(key.allowed[1]) +
                                               "\"; got \"x\\\"\"");
        break;
      case Check::log_level:
        EXPECT_EQ(path, "log.level");
        EXPECT_EQ(faults_of(key, "x"), "log.level: unknown log level: \"x\"");
        break;
      case Check::prefixes:
        EXPECT_EQ(faults_of(key, "['']"), path + ": empty CIDR entry");
        break;
      case Check::none:
        if (type_text(key) != "int") break;
        EXPECT_EQ(faults_of(key, "-1"), "accepted") << path;
        break;
    }
    for (const std::string_view word : key.allowed)
      EXPECT_EQ(faults_of(key, std::string(word)), "accepted") << path;
  }
  EXPECT_EQ(seen.size(), 6U);
}

TEST_F(ConfigKeysTest, EveryVariableIsApplied) {
  int variables = 0;
  for (const ConfigKey& key : config_keys()) {
    if (key.environment == nullptr) continue;
    ++variables;
    const Config standard = load_config("");
    std::string value, wrong, fault;
    const auto choose = [&](const auto& member) {
      using Value = std::remove_cvref_t<decltype(member)>;
      if constexpr (std::is_same_v<Value, bool>) value = member ? "0" : "1";
      if constexpr (std::is_same_v<Value, std::int64_t>) value = "7";
      if constexpr (std::is_same_v<Value, Duration>) value = "7s";
      if constexpr (std::is_same_v<Value, std::string>) value = "x";
      if constexpr (std::is_same_v<Value, std::vector<std::string>>) value = "10.0.0.0/8, ::1/128";
      if constexpr (!std::is_same_v<Value, std::string>) wrong = "x";
    };
    with_member(key, choose, standard);
    {
      Environment environment;
      environment.set(key.environment, value.c_str());
      const Config config = load_config("");
      EXPECT_FALSE(equal(key, config, standard)) << key.environment;
      // The variable wins over the file.
      EXPECT_TRUE(equal(key, config, load(file_with(key, written_default(key).value_or("")))))
          << key.environment;
    }
    if (wrong.empty()) continue;
    Environment environment;
    environment.set(key.environment, wrong.c_str());
    EXPECT_THAT(load_fault("{}"), ::testing::StartsWith(std::string(key.environment) + ": "));
  }
  EXPECT_EQ(variables, 19);
}

TEST_F(ConfigKeysTest, AReloadAppliesAChangeOrNamesIt) {
  const Config running = load_config("");
  for (const ConfigKey& key : config_keys()) {
    if (key.is_block()) continue;
    Config loaded = running;
    with_member(key, [](auto& value) { change(value); }, loaded);
    Config next = running;
    apply_reload(next, loaded);
    const auto restart = keys_needing_restart(running, loaded);
    if (key.reload == Reload::restart) {
      EXPECT_THAT(restart, ElementsAre(std::string(key.path)));
      EXPECT_TRUE(equal(key, next, running)) << key.path;
    } else {
      EXPECT_THAT(restart, IsEmpty()) << key.path;
      EXPECT_TRUE(equal(key, next, loaded)) << key.path;
    }
    for (const ConfigKey& other : config_keys()) {
      if (other.is_block() || other.path == key.path) continue;
      EXPECT_TRUE(equal(other, next, running)) << other.path << " with " << key.path;
    }
  }
}

}  // namespace
}  // namespace iron::policy
