#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "policy/config/config.h"

namespace iron::policy {

/// Leads from a configuration to one of its members.
template <class Value>
using MemberOf = Value& (*)(Config&);

/// Where the value of a key lives, and with it the key's type; none for a block of keys. The order
/// of the alternatives is the order in which environment variables are looked at.
using KeyMember = std::variant<std::monostate,
                               MemberOf<bool>,
                               MemberOf<std::int64_t>,
                               MemberOf<Duration>,
                               MemberOf<std::vector<std::string>>,
                               MemberOf<std::string>,
                               MemberOf<std::vector<DnsRecord>>,
                               MemberOf<std::vector<PassThroughEntry>>,
                               MemberOf<std::vector<TransformConfig>>,
                               MemberOf<ProxyUrl>>;

/// What a value must be, whatever the other keys say, and with it the text of the fault.
enum class Check {
  none,
  not_negative,  ///< `KEY must not be negative; got -5s`
  positive,      ///< `KEY must be positive; got -5s`
  one_of,        ///< `KEY must be "a" or "b"; got "x"`
  log_level,     ///< `unknown log level: "x"`, told when the log is made: check_log_level()
  prefixes,      ///< `KEY: invalid CIDR "x": …`
};

/// What a reload does with a changed value.
enum class Reload {
  restart,          ///< nothing: the WARN `setting needs a restart` names the key
  applied,          ///< the next request meets the new value
  with_ca,          ///< applied, and the leaves are signed anew
  with_transforms,  ///< applied, by building the pipeline anew
};

/// One key of the configuration file, or the head of a block of keys. All that is known of a key is
/// here; its default is the value that its member has in a new Config.
struct ConfigKey {
  std::string_view path;  ///< dotted, `proxy.limits.idle_timeout`
  KeyMember member = {};
  /// Name of a block's or an integer's type in error texts.
  std::string_view error_type = "int";
  /// Environment variable that overrides the file; null: none.
  const char* environment = nullptr;
  Check check = Check::none;
  std::span<const std::string_view> allowed = {};  ///< for one_of and log_level
  /// Zero is a value of its own, and does not mean the default.
  bool zero_counts = false;
  Reload reload = Reload::restart;
  /// Type and default in the documents, where they say more than the type and value do. Markdown.
  std::string_view form = {}, default_words = {};
  std::string_view meaning = {};  ///< what the documents say; Markdown
  /// Of a block that means something by being there, even empty: set where it is.
  MemberOf<bool> present = nullptr;

  bool is_block() const { return std::holds_alternative<std::monostate>(member); }
};

/// Every key outside of `transforms[]`, in the order of the documents. A block comes right before
/// its keys.
std::span<const ConfigKey> config_keys();

/// The configuration of an empty file.
Config standard_config();

/// Checks the values of `path` and of all keys below it ("": of all) that can be judged alone, in
/// the order of the table, `log.level` excepted. Throws ConfigError.
void check_keys(const Config& config, std::string_view path);

/// Checks a list of CIDR prefixes that the fault calls `name`, a key or a variable. Throws
/// ConfigError, `NAME: invalid CIDR "x": …`.
void check_prefixes(std::string_view name, const std::vector<std::string>& prefixes);

/// Calls `use` with the key's member of each of the configurations; does nothing for a block.
template <class Use, class... Configs>
void with_member(const ConfigKey& key, Use use, Configs&... configs) {
  static_assert((std::is_same_v<std::remove_const_t<Configs>, Config> && ...));
  std::visit(
      [&](auto member) {
        if constexpr (!std::is_same_v<decltype(member), std::monostate>) {
          // The member of a constant stays one.
          const auto in = [member](auto& config) -> auto& {
            auto& value = member(const_cast<Config&>(config));
            if constexpr (std::is_const_v<std::remove_reference_t<decltype(config)>>)
              return std::as_const(value);
            else
              return value;
          };
          use(in(configs)...);
        }
      },
      key.member);
}

}  // namespace iron::policy
