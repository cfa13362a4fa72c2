#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace iron::proxy {

enum class Level { debug, info, warn, error };

/// One attribute of a log record. A duration is written in milliseconds.
struct Attribute {
  std::string_view name;
  std::variant<std::string_view,
               std::int64_t,
               bool,
               std::span<const std::string>,
               std::chrono::nanoseconds>
      value;
};

/// Appends an operational record with its line feed: time, level, msg, attributes
/// (docs/records.md, "Form").
void append_line(std::string& out,
                 std::chrono::system_clock::time_point time,
                 Level level,
                 std::string_view message,
                 std::span<const Attribute> attributes);
/// Appends `"time":"…"` in the form of docs/records.md: RFC 3339, local offset, nanoseconds without
/// trailing zeros.
void append_record_time(std::string& out);
std::string_view level_name(Level level);
/// `debug`, `info`, `warn`, `error` as in `log.level`.
std::optional<Level> parse_level(std::string_view text);

}  // namespace iron::proxy
