#include "proxy/calls/fetch_run.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "policy/errno_text.h"

namespace iron::proxy {
namespace {

constexpr auto kLookAtPipe = std::chrono::milliseconds(50);

/// A descriptor that is closed at the end.
class OpenFile {
 public:
  /// A pipe without a writer must not keep the thread.
  explicit OpenFile(const std::string& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {}
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OpenFile(const OpenFile&) = delete;
  int get() const { return descriptor_; }
  bool is_pipe() const {
    struct stat info{};
    return ::fstat(descriptor_, &info) == 0 && S_ISFIFO(info.st_mode);
  }
  /// As far as it can be known before it is read.
  std::size_t size() const {
    struct stat info{};
    const bool regular = ::fstat(descriptor_, &info) == 0 && S_ISREG(info.st_mode);
    return regular && info.st_size > 0 ? static_cast<std::size_t>(info.st_size) : 4095;
  }

 private:
  const int descriptor_;
};

void grow(Secret& content, std::size_t size) {
  Secret larger = Secret::sized(size);
  std::ranges::copy(content.reveal(), larger.writable().begin());
  content = std::move(larger);
}

Error file_error(const char* what, const std::string& path, int code) {
  const bool gone = code == ENOENT || code == ENOTDIR;
  return fail(std::string(what) + " " + path + ": " + policy::errno_text(code),
              gone ? Fault::gone : Fault::other);
}

}  // namespace

FetchRun::FetchRun(EventLoop& loop,
                   CallClient& client,
                   ProgramLine& programs,
                   const SecretEnvironment& environment,
                   SteadyTime deadline)
    : loop_(loop),
      client_(client),
      programs_(programs),
      environment_(environment),
      deadline_(deadline),
      pause_(loop),
      alarm_(loop, [this] { pause_.wake(); }) {
  alarm_.set(deadline_);
}

Task<Result<transforms::CallAnswer>> FetchRun::call(const transforms::CallRequest& request) {
  const SteadyTime until = std::min(deadline_, later(loop_.now(), request.limit));
  alarm_.set(until);
  CallClient::Terms terms{pause_, [this, until] { return loop_.now() >= until || loop_.cut(); }};
  Result<transforms::CallAnswer> answer = co_await client_.send(request, terms);
  alarm_.set(deadline_);
  co_return std::move(answer);
}

Task<Result<Secret>> FetchRun::read_file(const std::string& path, std::size_t most) {
  const OpenFile file(path);
  if (file.get() < 0) co_return file_error("open", path, errno);
  const bool pipe = file.is_pipe();
  // Secret memory is scarce, and wiped: no more of it than the file needs.
  Secret content = Secret::sized(std::min(most, file.size()) + 1);
  std::size_t used = 0;
  while (used <= most) {
    if (used == content.size()) grow(content, std::min(most + 1, 4 * used));
    const ssize_t got = ::read(file.get(), content.writable().data() + used, content.size() - used);
    if (got > 0) {
      used += static_cast<std::size_t>(got);
      continue;
    }
    const int code = got < 0 ? errno : 0;
    if (code == EINTR) continue;
    // Of a pipe nobody may have opened the other end yet.
    const bool waits = pipe && (code == EAGAIN || (code == 0 && used == 0));
    if (!waits && code != 0) co_return file_error("read", path, code);
    if (!waits) break;
    const bool time_left = co_await sleep(kLookAtPipe);
    if (!time_left) co_return fail("i/o timeout");
  }
  if (used > most) co_return fail("file too large", Fault::body_too_large);
  content.shrink(used);
  co_return std::move(content);
}

bool FetchRun::readable_by_others(const std::string& path) const {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0;
}

Task<Result<Secret>> FetchRun::read_directory(const std::string& path, std::size_t most) {
  std::vector<std::string> names;
  std::error_code problem;
  for (std::filesystem::directory_iterator entry(path, problem), end; !problem && entry != end;
       entry.increment(problem)) {
    std::error_code ignored;
    if (entry->is_regular_file(ignored)) names.push_back(entry->path().string());
  }
  if (problem) co_return file_error("open", path, problem.value());
  std::ranges::sort(names);
  Secret all = Secret::sized(most);
  std::size_t used = 0;
  for (const std::string& name : names) {
    const std::size_t left = most - used;
    Result<Secret> read = co_await read_file(name, left);
    if (read.has_error()) co_return read.error();
    if (read->size() + 1 > left) co_return fail("file too large", Fault::body_too_large);
    std::ranges::copy(read->reveal(), all.writable().begin() + static_cast<std::ptrdiff_t>(used));
    used += read->size();
    all.writable()[used++] = '\n';
  }
  all.shrink(used);
  co_return std::move(all);
}

Task<Result<Secret>> FetchRun::run(const transforms::ProgramRun& program) {
  ProgramAttempt attempt(programs_, pause_, program);
  while (!attempt.look()) {
    if (over()) co_return fail("context deadline exceeded");
    co_await pause_;
  }
  Result<Secret> written = attempt.outcome();
  co_return std::move(written);
}

Task<bool> FetchRun::sleep(std::chrono::nanoseconds duration) {
  const SteadyTime until = later(loop_.now(), duration);
  alarm_.set(std::min(until, deadline_));
  while (loop_.now() < until) {
    if (over()) co_return false;
    co_await pause_;
  }
  alarm_.set(deadline_);
  co_return true;
}

std::int64_t FetchRun::monotonic_ns() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(loop_.now().time_since_epoch())
      .count();
}

std::chrono::system_clock::time_point FetchRun::now() const {
  return std::chrono::system_clock::now();
}

std::optional<std::string> FetchRun::variable(const char* name) const {
  const char* text = ::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::string(text);
}

transforms::SecretPtr FetchRun::secret_variable(const std::string& name) const {
  const Secret* found = environment_.find(name);
  if (found == nullptr) return nullptr;
  return {std::shared_ptr<void>(), found};
}

void FetchRun::note(Gravity gravity,
                    std::string_view message,
                    std::initializer_list<transforms::Note> attributes) {
  Line line{gravity, std::string(message), {}};
  for (const transforms::Note& note : attributes) {
    line.values.push_back(
        {std::string(note.key), std::string(note.text), note.number, note.is_number});
  }
  lines_.push_back(std::move(line));
}

void FetchRun::write_notes(Log& log) {
  for (const Line& line : lines_) {
    std::vector<transforms::Note> notes;
    for (const Line::Value& value : line.values) {
      if (value.is_number) {
        notes.emplace_back(value.key, value.number);
      } else {
        notes.emplace_back(value.key, std::string_view(value.text));
      }
    }
    log.write(line.gravity == Gravity::error ? Level::error : Level::warn, line.message, notes);
  }
  lines_.clear();
}

}  // namespace iron::proxy
