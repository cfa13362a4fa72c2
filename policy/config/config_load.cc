#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <span>
#include <type_traits>
#include <variant>

#include "policy/config/config.h"
#include "policy/config/config_keys.h"
#include "policy/config/open_file.h"
#include "policy/config/proxy_passwords.h"
#include "policy/errno_text.h"
#include "policy/quote.h"
#include "policy/secret/secret.h"
#include "policy/yaml/yaml_reader.h"

namespace iron::policy {
namespace {

/// One byte more than parse_yaml accepts is enough to know that a file is too large.
constexpr std::size_t kMaxRead = (std::size_t{8} << 20) + 1;

class File {
 public:
  explicit File(const std::string& path) : path_(path) {
    descriptor_ = open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (descriptor_ < 0)
      throw ConfigError("opening config file: open " + path + ": " + errno_text(errno));
  }
  ~File() { ::close(descriptor_); }
  File(const File&) = delete;

  /// Leaves no copy of what it read anywhere else: it may hold the password of a parent proxy.
  std::string read() const {
    constexpr std::size_t kPart = 65536;
    std::string out;
    std::size_t size = 0;
    while (size < kMaxRead) {
      if (out.size() < size + kPart) grow(out, size + kPart);
      const ssize_t got = read_file_part(descriptor_, out.data() + size, kPart);
      if (got == 0) break;
      if (got < 0) {
        throw ConfigError("parsing config: yaml: input error: read " + path_ + ": " +
                          errno_text(errno));
      }
      size += static_cast<std::size_t>(got);
    }
    out.resize(size);
    return out;
  }

 private:
  static void grow(std::string& text, std::size_t least) {
    std::string larger;
    larger.reserve(std::max(least, 2 * text.size()));
    larger = text;
    larger.resize(least);
    wipe(text);
    text.swap(larger);
  }

  const std::string& path_;
  int descriptor_ = -1;
};

/// Fills a Config from the blocks of a file. What a file leaves out keeps the default.
class FileReader {
 public:
  FileReader(const std::shared_ptr<const YamlNode>& root,
             const ProxyPasswords& passwords,
             Config& config)
      : config_(config),
        passwords_(passwords),
        context_{&errors_, UnknownKeys::are_errors, nullptr, config.path} {
    BlockReader top(root.get(), "config.Config", "", context_);
    read_keys(top, "");
    const bool mcp = top.any("mcp") != nullptr;
    const bool postgres = top.any("postgres") != nullptr;
    top.finish();
    if (!errors_.empty()) throw ConfigError("parsing config: " + errors_.text());
    if (mcp) throw ConfigError("mcp is not supported by this build");
    if (postgres) throw ConfigError("postgres is not supported by this build");
  }

 private:
  /// Reads the keys of the table from `next_` on whose paths begin with `prefix`.
  void read_keys(BlockReader& block, const std::string& prefix) {
    while (next_ != keys_.size() && keys_[next_].path.starts_with(prefix)) {
      const ConfigKey& key = keys_[next_++];
      const std::string_view name = key.path.substr(prefix.size());
      if (key.is_block()) {
        const auto node = block.block(name);
        if (node != nullptr && key.present != nullptr) key.present(config_) = true;
        read_block(node, key);
      } else {
        with_member(key, [&](auto& out) { read(block, name, key, out); }, config_);
      }
    }
  }

  void read_block(const std::shared_ptr<const YamlNode>& node, const ConfigKey& key) {
    const std::string path(key.path);
    BlockReader block(node.get(), std::string(key.error_type), path, context_);
    read_keys(block, path + ".");
    block.finish();
  }

  static void read(BlockReader& block, std::string_view name, const ConfigKey&, std::string& out) {
    block.text(name, out);
  }
  static void read(BlockReader& block, std::string_view name, const ConfigKey&, bool& out) {
    block.boolean(name, out);
  }
  static void read(BlockReader& block,
                   std::string_view name,
                   const ConfigKey& key,
                   std::int64_t& out) {
    block.integer(name, out, key.error_type);
  }
  static void read(BlockReader& block,
                   std::string_view name,
                   const ConfigKey&,
                   std::vector<std::string>& out) {
    block.texts(name, out);
  }

  /// A duration is read as text first; its faults are reported at once and without a line.
  static void read(BlockReader& block, std::string_view name, const ConfigKey&, Duration& out) {
    std::string text;
    if (!block.scalar(name, text) || text.empty()) return;
    try {
      out = parse_duration(text);
    } catch (const ConfigError& error) {
      throw ConfigError("parsing config: " + error.text());
    }
  }

  void read(BlockReader& block,
            std::string_view name,
            const ConfigKey& key,
            std::vector<DnsRecord>& out) {
    for (const auto& entry : block.blocks(name, "[]config.DNSRecord")) {
      BlockReader record(entry.get(), "config.DNSRecord", std::string(key.path), context_);
      DnsRecord& read = out.emplace_back();
      record.text("name", read.name);
      record.text("type", read.type);
      record.text("value", read.value);
      record.finish();
    }
  }

  void read(BlockReader& block,
            std::string_view name,
            const ConfigKey& key,
            std::vector<PassThroughEntry>& out) {
    for (const auto& node : block.blocks(name, "[]config.Passthrough")) {
      BlockReader entry(node.get(), "config.Passthrough", std::string(key.path), context_);
      PassThroughEntry& read = out.emplace_back();
      read.line = entry.line();
      read.host_line = entry.line_of("host");
      read.cidr_line = entry.line_of("cidr");
      read.ports_line = entry.line_of("ports");
      entry.text("host", read.host);
      entry.text("cidr", read.cidr);
      entry.integers("ports", read.ports, read.port_lines);
      entry.finish();
    }
  }

  void read(BlockReader& block,
            std::string_view name,
            const ConfigKey& key,
            std::vector<TransformConfig>& out) {
    for (const auto& node : block.blocks(name, "[]config.Transform")) {
      BlockReader entry(node.get(), "config.Transform", std::string(key.path), context_);
      TransformConfig& read = out.emplace_back();
      entry.text("name", read.name);
      read.config = entry.any("config");
      entry.finish();
    }
  }

  void read(BlockReader& block, std::string_view name, const ConfigKey&, ProxyUrl& out) {
    std::string text;
    block.text(name, text);
    out = ProxyUrl::parse(passwords_.url(name, block.line_of(name), text));
    wipe(text);
  }

  Config& config_;
  const ProxyPasswords& passwords_;
  const std::span<const ConfigKey> keys_ = config_keys();
  std::size_t next_ = 0;
  YamlErrors errors_;
  BlockReader::Context context_;
};

/// The value of a variable; none if it is unset or empty.
std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

[[noreturn]] void bad_variable(const ConfigKey& key, const std::string& why) {
  throw ConfigError(std::string(key.environment) + ": " + why);
}

void read_variable(const ConfigKey&, const std::string& value, std::string& out) { out = value; }

bool parse_bool(const char* variable, const std::string& value) {
  for (const char* yes : {"1", "t", "T", "TRUE", "true", "True"})
    if (value == yes) return true;
  for (const char* no : {"0", "f", "F", "FALSE", "false", "False"})
    if (value == no) return false;
  throw ConfigError(std::string(variable) + ": strconv.ParseBool: parsing " + quoted(value) +
                    ": invalid syntax");
}

void read_variable(const ConfigKey& key, const std::string& value, bool& out) {
  out = parse_bool(key.environment, value);
}

void read_variable(const ConfigKey& key, const std::string& value, std::int64_t& out) {
  const auto fail = [&](const char* why) {
    // Scripts know the names of these functions from the error text.
    const std::string function = key.error_type == "int64" ? "ParseInt" : "Atoi";
    bad_variable(key, "strconv." + function + ": parsing " + quoted(value) + ": " + why);
  };
  std::string_view text = value;
  if (text[0] == '+') text.remove_prefix(1);
  if (text.empty() || (text.size() < value.size() && text[0] == '-')) fail("invalid syntax");
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, out);
  if (result.ec == std::errc::invalid_argument || result.ptr != end) fail("invalid syntax");
  if (result.ec == std::errc::result_out_of_range) fail("value out of range");
}

void read_variable(const ConfigKey& key, const std::string& value, Duration& out) {
  try {
    out = parse_duration(value);
  } catch (const ConfigError& error) {
    bad_variable(key, error.text());
  }
}

/// A comma list; faults are those of the key, under the variable's name.
void read_variable(const ConfigKey& key, const std::string& value, std::vector<std::string>& out) {
  constexpr std::string_view kBlanks = " \t\n\v\f\r";
  std::vector<std::string> entries;
  for (std::size_t begin = 0; begin <= value.size();) {
    const std::size_t end = std::min(value.find(',', begin), value.size());
    std::string_view entry = std::string_view(value).substr(begin, end - begin);
    entry.remove_prefix(std::min(entry.find_first_not_of(kBlanks), entry.size()));
    entry = entry.substr(0, entry.find_last_not_of(kBlanks) + 1);
    entries.emplace_back(entry);
    begin = end + 1;
  }
  if (key.check == Check::prefixes) check_prefixes(key.environment, entries);
  out = std::move(entries);
}

/// One type after the other, each in the order of the table: it decides which of several faults is
/// reported.
void apply_environment(Config& config) {
  for (std::size_t type = 0; type < std::variant_size_v<KeyMember>; ++type)
    for (const ConfigKey& key : config_keys()) {
      if (key.member.index() != type || key.environment == nullptr) continue;
      const auto value = variable(key.environment);
      if (!value) continue;
      with_member(
          key,
          [&](auto& out) {
            if constexpr (requires { read_variable(key, *value, out); })
              read_variable(key, *value, out);
          },
          config);
    }
}

/// Stands for an empty block in the file, and takes none away.
void apply_proxy_switch(Config& config) {
  constexpr const char* kSwitch = "IRON_PROXY_USE_ENV_PROXY";
  const auto value = variable(kSwitch);
  if (value && parse_bool(kSwitch, *value)) config.proxy.upstream_proxy.present = true;
}

/// For the types that have a zero or an empty text; other types have no value that means this.
template <class Value>
void zero_is(Value& value, const Value& standard) {
  constexpr bool kHasZero = std::is_same_v<Value, std::int64_t> ||
                            std::is_same_v<Value, Duration> || std::is_same_v<Value, std::string>;
  if constexpr (kHasZero) {
    if (value == Value{}) value = standard;
  }
}

/// Zero and empty text mean the default, except where zero has a meaning of its own.
void apply_defaults(Config& config) {
  const Config standard = standard_config();
  for (const ConfigKey& key : config_keys()) {
    if (key.zero_counts) continue;
    with_member(
        key, [](auto& value, const auto& given) { zero_is(value, given); }, config, standard);
  }
  // This key counts only where somebody listens, and is shown as changed only then.
  if (!config.management.listen.empty() && config.management.api_key_env.empty())
    config.management.api_key_env = "IRON_MANAGEMENT_API_KEY";
}

}  // namespace

Config load_config(const std::string& path) {
  Config config = standard_config();
  config.path = path;
  if (path.starts_with("s3://")) throw ConfigError(path + " is not supported by this build");
  if (!path.empty()) {
    std::string bytes = File(path).read();
    const ProxyPasswords passwords(bytes);
    FileReader(parse_yaml(bytes), passwords, config);
  }
  apply_environment(config);
  apply_proxy_switch(config);
  apply_defaults(config);
  return config;
}

}  // namespace iron::policy
