#include "proxy/log/log_line.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "policy/config/log_levels.h"
#include "policy/json/json_writer.h"

namespace iron::proxy {
namespace {

using policy::append_json_integer;
using policy::append_json_string;

void append_two_digits(std::string& out, int value) {
  out += static_cast<char>('0' + value / 10);
  out += static_cast<char>('0' + value % 10);
}

/// Date, time and offset of one second, remembered: a worker writes many records in it.
struct Second {
  time_t value = -1;
  std::string date_time;  ///< `2026-11-24T08:41:53`
  std::string offset;     ///< `Z` or `+02:00`
};

void fill(Second& second, time_t value) {
  struct tm local{};
  ::localtime_r(&value, &local);
  second.value = value;
  second.date_time.clear();
  append_json_integer(second.date_time, local.tm_year + 1900);
  for (const auto& [separator, part] :
       {std::pair{'-', local.tm_mon + 1}, std::pair{'-', local.tm_mday},
        std::pair{'T', local.tm_hour}, std::pair{':', local.tm_min},
        std::pair{':', local.tm_sec}}) {
    second.date_time += separator;
    append_two_digits(second.date_time, part);
  }
  const long minutes = local.tm_gmtoff / 60;
  second.offset = "Z";
  if (minutes == 0) return;
  second.offset = minutes < 0 ? "-" : "+";
  const int magnitude = static_cast<int>(minutes < 0 ? -minutes : minutes);
  append_two_digits(second.offset, magnitude / 60);
  second.offset += ':';
  append_two_digits(second.offset, magnitude % 60);
}

void append_fraction(std::string& out, long nanoseconds) {
  if (nanoseconds == 0) return;
  char digits[9];
  for (int i = 8; i >= 0; --i) {
    digits[i] = static_cast<char>('0' + nanoseconds % 10);
    nanoseconds /= 10;
  }
  std::string_view text(digits, 9);
  text = text.substr(0, text.find_last_not_of('0') + 1);
  out += '.';
  out += text;
}

struct AppendValue {
  std::string& out;
  void operator()(std::string_view text) const { append_json_string(out, text); }
  void operator()(std::int64_t number) const { append_json_integer(out, number); }
  void operator()(bool value) const { out += value ? "true" : "false"; }
  void operator()(std::chrono::nanoseconds duration) const {
    policy::append_json_milliseconds(out, duration.count());
  }
  void operator()(std::span<const std::string> texts) const {
    out += '[';
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (i > 0) out += ',';
      append_json_string(out, texts[i]);
    }
    out += ']';
  }
};

void append_time(std::string& out, time_t seconds, long nanoseconds) {
  thread_local Second second;
  if (second.value != seconds) fill(second, seconds);
  out += "\"time\":\"";
  out += second.date_time;
  append_fraction(out, nanoseconds);
  out += second.offset;
  out += '"';
}

}  // namespace

void append_line(std::string& out,
                 std::chrono::system_clock::time_point time,
                 Level level,
                 std::string_view message,
                 std::span<const Attribute> attributes) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const std::chrono::nanoseconds rest = time - seconds;
  out += '{';
  append_time(out, seconds.time_since_epoch().count(), rest.count());
  out += ",\"level\":\"";
  out += level_name(level);
  out += "\",\"msg\":";
  append_json_string(out, message);
  for (const Attribute& attribute : attributes) {
    out += ',';
    append_json_string(out, attribute.name);
    out += ':';
    std::visit(AppendValue{out}, attribute.value);
  }
  out += "}\n";
}

void append_record_time(std::string& out) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  append_time(out, now.tv_sec, now.tv_nsec);
}

std::string_view level_name(Level level) {
  constexpr std::string_view kNames[] = {"DEBUG", "INFO", "WARN", "ERROR"};
  return kNames[static_cast<std::size_t>(level)];
}

std::optional<Level> parse_level(std::string_view text) {
  static_assert(static_cast<std::size_t>(Level::error) + 1 == policy::kLogLevels.size());
  const auto found = std::ranges::find(policy::kLogLevels, text);
  if (found == policy::kLogLevels.end()) return std::nullopt;
  return static_cast<Level>(found - policy::kLogLevels.begin());
}

}  // namespace iron::proxy
