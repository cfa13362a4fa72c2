#include "proxy/log/log.h"

#include <fcntl.h>
#include <time.h>

#include <cerrno>
#include <charconv>
#include <utility>
#include <vector>

#include "policy/config/open_file.h"
#include "policy/errno_text.h"
#include "proxy/log/log_front.h"
#include "proxy/log/log_writer.h"

namespace iron::proxy {
namespace {

std::string render_lost(std::uint64_t count) {
  std::string line;
  const Attribute lost{"count", static_cast<std::int64_t>(count)};
  append_line(line, std::chrono::system_clock::now(), Level::warn, "log records lost", {&lost, 1});
  return line;
}

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
  front_ = std::make_unique<LogFront>(*writer_, options.level);
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

void Log::prepare_thread(std::string* records) { LogFront::prepare_thread(records); }

void Log::start() { writer_->start(); }

void Log::write(Level level,
                std::string_view message,
                std::initializer_list<Attribute> attributes) {
  write(level, message, std::span<const Attribute>(attributes.begin(), attributes.size()));
}

void Log::write(Level level, std::string_view message, std::span<const Attribute> attributes) {
  front_->write(level, message, attributes);
}

void Log::write(Level level,
                std::string_view message,
                std::span<const transforms::Note> attributes) {
  std::vector<Attribute> rendered;
  for (const transforms::Note& note : attributes) {
    if (note.is_number) {
      rendered.push_back({note.key, note.number});
    } else {
      rendered.push_back({note.key, note.text});
    }
  }
  write(level, message, std::span<const Attribute>(rendered));
}

void Log::write(const policy::ConfigWarning& warning) {
  std::vector<Attribute> attributes;
  for (const auto& [name, text, is_number] : warning.attributes) {
    Attribute& attribute = attributes.emplace_back(name, std::string_view(text));
    if (!is_number) continue;
    std::int64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    attribute.value = number;
  }
  write(Level::warn, warning.message, attributes);
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
    return fail("opening log.audit_path: open " + path + ": " + policy::errno_text(errno));
  }
  writer_->redirect_requests(descriptor);
  return {};
}

bool Log::flush(int milliseconds) {
  return writer_->flush(std::chrono::milliseconds(milliseconds));
}

}  // namespace iron::proxy
