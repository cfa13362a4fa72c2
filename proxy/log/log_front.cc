#include "proxy/log/log_front.h"

#include <utility>

// Without a library of its own: headers alone, and those of fmt, which no record passes through.
#define FMT_HEADER_ONLY
#define SPDLOG_NO_THREAD_ID
#include <spdlog/logger.h>
#include <spdlog/sinks/sink.h>

namespace iron::proxy {
namespace {

constexpr std::size_t kThreadLine = 512;

std::string& thread_line() {
  thread_local std::string line;
  return line;
}

thread_local std::string* thread_records = nullptr;

spdlog::level::level_enum spdlog_level(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

/// A message with what it is about, as it was given: the logger is synchronous and keeps nothing.
struct LogFront::Message : spdlog::details::log_msg {
  Message(spdlog::string_view_t logger,
          Level level_in,
          std::string_view text,
          std::span<const Attribute> attributes_in)
      : log_msg(logger, spdlog_level(level_in), {text.data(), text.size()}),
        own_level(level_in),
        attributes(attributes_in) {}

  Level own_level;
  std::span<const Attribute> attributes;
};

class LogFront::Sink final : public spdlog::sinks::sink {
 public:
  explicit Sink(LogWriter& writer) : writer_(writer) {}

  void log(const spdlog::details::log_msg& any) override {
    const auto& message = static_cast<const Message&>(any);  // Logger makes no others
    std::string& line = thread_line();
    line.clear();
    append_line(line, message.time, message.own_level,
                {message.payload.data(), message.payload.size()}, message.attributes);
    writer_.append(line, thread_records);
  }
  void flush() override {}  // Log::flush() does
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

 private:
  LogWriter& writer_;
};

class LogFront::Logger final : private spdlog::logger {
 public:
  Logger(LogWriter& writer, Level least)
      : spdlog::logger("iron-proxy", std::make_shared<Sink>(writer)) {
    set_level(spdlog_level(least));
    // What a sink throws is that there is no memory: the text of it fits into a string as it is.
    set_error_handler([&writer](const std::string&) { writer.lose(1); });
  }

  void write(Level level, std::string_view text, std::span<const Attribute> attributes) {
    if (!should_log(spdlog_level(level))) return;
    log_it_(Message(name(), level, text, attributes), true, false);
  }
};

LogFront::LogFront(LogWriter& writer, Level least)
    : logger_(std::make_unique<Logger>(writer, least)) {}

LogFront::~LogFront() = default;

void LogFront::write(Level level, std::string_view message, std::span<const Attribute> attributes) {
  logger_->write(level, message, attributes);
}

void LogFront::prepare_thread(std::string* records) {
  thread_line().reserve(kThreadLine);
  thread_records = records;
}

}  // namespace iron::proxy
