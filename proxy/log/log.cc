#include "proxy/log/log.h"

#include <fcntl.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "policy/config/log_levels.h"
#include "policy/config/open_file.h"
#include "policy/json/json_writer.h"
#include "proxy/log/log_writer.h"

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

void begin_record(std::string& out, Level level, std::string_view message) {
  out += '{';
  append_record_time(out);
  out += ",\"level\":\"";
  out += level_name(level);
  out += "\",\"msg\":";
  append_json_string(out, message);
}

void append_name(std::string& out, std::string_view name) {
  out += ',';
  append_json_string(out, name);
  out += ':';
}

std::string render_lost(std::uint64_t count) {
  std::string line;
  begin_record(line, Level::warn, "log records lost");
  append_name(line, "count");
  append_json_integer(line, static_cast<std::int64_t>(count));
  line += "}\n";
  return line;
}

std::string lower_case_error(int code) {
  std::string text = std::generic_category().message(code);
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

constexpr std::size_t kThreadLine = 512;

std::string& thread_line() {
  thread_local std::string line;
  return line;
}

thread_local std::string* thread_records = nullptr;

}  // namespace

Log::Log(const Options& options) : options_(options) {
  // Reads the zone's file now: later the process may no longer be allowed to.
  ::tzset();
  LogWriter::Options writer;
  writer.buffer_bytes = options.buffer_bytes;
  writer.drop_when_full = options.drop_when_full;
  writer.stderr_fd = options.stderr_fd;
  const bool tell = enabled(Level::warn);
  writer.render_lost = [tell](std::uint64_t count) {
    return tell ? render_lost(count) : std::string();
  };
  writer_ = std::make_unique<LogWriter>(std::move(writer), full_);
  if (!options.deferred) writer_->start();
}

Log::~Log() = default;

void Log::session_failed(const std::exception_ptr& failure) noexcept {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    try {
      write(Level::error, "session failed", {{"error", std::string_view(error.what())}});
    } catch (const std::exception&) {
      // There is no memory for saying so either.
    }
  }
}

void Log::prepare_thread(std::string* records) {
  thread_line().reserve(kThreadLine);
  thread_records = records;
}

void Log::start() { writer_->start(); }

void Log::write(Level level,
                std::string_view message,
                std::initializer_list<Attribute> attributes) {
  write(level, message, std::span<const Attribute>(attributes.begin(), attributes.size()));
}

void Log::write(Level level, std::string_view message, std::span<const Attribute> attributes) {
  if (!enabled(level)) return;
  std::string& line = thread_line();
  line.clear();
  begin_record(line, level, message);
  for (const Attribute& attribute : attributes) {
    append_name(line, attribute.name);
    std::visit(AppendValue{line}, attribute.value);
  }
  line += "}\n";
  writer_->append(line, thread_records);
}

void Log::write(const policy::ConfigWarning& warning) {
  if (!enabled(Level::warn)) return;
  std::string line;
  begin_record(line, Level::warn, warning.message);
  for (const auto& attribute : warning.attributes) {
    append_name(line, attribute.name);
    if (attribute.is_number) {
      line += attribute.text;
    } else {
      append_json_string(line, attribute.text);
    }
  }
  line += "}\n";
  writer_->append(line, thread_records);
}

void Log::request_record(Level level, std::string_view line) {
  if (!enabled(level)) return;
  std::string lines(line);
  writer_->write(lines, nullptr);
}

void Log::guard(std::shared_ptr<const transforms::KeyNet> net) { writer_->guard(std::move(net)); }

Result<void> Log::set_audit_path(const std::string& path) {
  if (path.empty()) {
    writer_->redirect_requests(-1);
    return {};
  }
  // O_NONBLOCK matters for a named pipe alone: opening it must not wait for a reader.
  constexpr int kFlags =
      O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
  const int descriptor = policy::open_file(path, kFlags, 0600);
  if (descriptor < 0) {
    return fail("opening log.audit_path: open " + path + ": " + lower_case_error(errno));
  }
  writer_->redirect_requests(descriptor);
  return {};
}

bool Log::flush(int milliseconds) {
  return writer_->flush(std::chrono::milliseconds(milliseconds));
}

void append_record_time(std::string& out) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  thread_local Second second;
  if (second.value != now.tv_sec) fill(second, now.tv_sec);
  out += "\"time\":\"";
  out += second.date_time;
  append_fraction(out, now.tv_nsec);
  out += second.offset;
  out += '"';
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
