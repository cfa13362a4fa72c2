#include "proxy/log/log_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

namespace iron::proxy {
namespace {

constexpr std::chrono::milliseconds kFirstRetry{10};
constexpr std::chrono::milliseconds kLastRetry{1000};
// poll() promises room for this much on a pipe, so that a blocking write of it returns.
constexpr std::size_t kPromisedBytes = 4096;

// The non-blocking flag of an inherited descriptor belongs to everybody who holds it; a description
// of our own has its own flag.
int reopen_nonblocking(int descriptor) {
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  return ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_APPEND);
}

void mask_keys(const LogSink::Nets& nets, std::span<char> bytes) {
  for (const auto& net : nets) net->mask(bytes);
}

}  // namespace

LogSink::LogSink(int descriptor, Ownership ownership)
    : descriptor_(descriptor), owned_(ownership == Ownership::owned) {
  struct stat info{};
  if (::fstat(descriptor, &info) != 0) return;
  if (S_ISSOCK(info.st_mode)) {
    kind_ = Kind::socket;
  } else if (S_ISFIFO(info.st_mode) || ::isatty(descriptor) == 1) {
    kind_ = Kind::nowait;
    if (owned_) {
      kind_ = Kind::nonblocking;
    } else if (const int own = reopen_nonblocking(descriptor); own >= 0) {
      kind_ = Kind::nonblocking;
      descriptor_ = own;
      owned_ = true;
    }
  }
}

LogSink::~LogSink() {
  if (owned_) ::close(descriptor_);
}

void LogSink::put(std::string&& chunk) { queue_.emplace_back().bytes = std::move(chunk); }

void LogSink::put_report(std::string line) {
  auto place = queue_.begin();
  if (!queue_.empty()) {
    Chunk& first = queue_.front();
    first.bytes.erase(0, std::exchange(offset_, 0));
    if (mid_line_) {
      const std::size_t end = first.bytes.find('\n') + 1;
      Chunk rest{first.bytes.substr(end), first.report, first.masked};
      first.bytes.resize(end);
      place = queue_.begin() + 1;
      if (!rest.bytes.empty()) place = queue_.insert(place, std::move(rest));
    }
  }
  queue_.insert(place, {std::move(line), true, true});
}

LogSink::Progress LogSink::drain(const Nets& nets, std::size_t limit, Attempt attempt) {
  for (auto chunk = queue_.rbegin(); chunk != queue_.rend() && !chunk->masked; ++chunk) {
    mask_keys(nets, chunk->bytes);
    chunk->masked = true;
  }
  Progress progress;
  if (failing_ && attempt == Attempt::when_due && Clock::now() < retry_at_) return progress;
  while (!queue_.empty() && progress.settled < limit) {
    Chunk& chunk = queue_.front();
    const long count = write_some(chunk.bytes.data() + offset_, chunk.bytes.size() - offset_);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        progress.blocked = true;
      } else {
        give_up(progress);
      }
      break;
    }
    failing_ = false;
    backoff_ = {};
    offset_ += static_cast<std::size_t>(count);
    if (offset_ > 0) mid_line_ = chunk.bytes[offset_ - 1] != '\n';
    if (!chunk.report) progress.settled += static_cast<std::size_t>(count);
    if (offset_ < chunk.bytes.size()) continue;
    if (chunk.report) {
      progress.report_written = true;
    } else {
      progress.spent.push_back(std::move(chunk.bytes));
    }
    queue_.pop_front();
    offset_ = 0;
  }
  return progress;
}

LogSink::Progress LogSink::write(const Nets& nets, std::string& lines) {
  mask_keys(nets, lines);
  Progress progress;
  while (progress.settled < lines.size()) {
    const std::size_t written = progress.settled;
    const long count = write_some(lines.data() + written, lines.size() - written);
    if (count >= 0) {
      progress.settled += static_cast<std::size_t>(count);
      continue;
    }
    if (errno == EINTR) continue;
    progress.blocked = errno == EAGAIN || errno == EWOULDBLOCK;
    mid_line_ = written > 0 && lines[written - 1] != '\n';
    Chunk& rest = queue_.emplace_back();
    rest.bytes.swap(lines);
    rest.masked = true;
    offset_ = written;
    if (!progress.blocked) give_up(progress);
    break;
  }
  return progress;
}

long LogSink::write_some(const char* data, std::size_t size) {
  if (kind_ == Kind::socket) return ::send(descriptor_, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (kind_ == Kind::nowait) return write_without_waiting(data, size);
  if (kind_ == Kind::polled) {
    pollfd ready{descriptor_, POLLOUT, 0};
    if (::poll(&ready, 1, 0) == 0) {
      errno = EAGAIN;
      return -1;
    }
    return ::write(descriptor_, data, std::min(size, kPromisedBytes));
  }
  return ::write(descriptor_, data, size);
}

/// For a pipe that may not be opened again: newer kernels refuse a write that would wait.
long LogSink::write_without_waiting(const char* data, std::size_t size) {
  const iovec part{const_cast<char*>(data), size};
  const long count = ::pwritev2(descriptor_, &part, 1, -1, RWF_NOWAIT);
  if (count >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EPERM)) return count;
  kind_ = Kind::polled;
  errno = EAGAIN;
  return -1;
}

void LogSink::give_up(Progress& progress) {
  Chunk rest;
  if (mid_line_) {
    const Chunk& first = queue_.front();
    const std::size_t end = first.bytes.find('\n', offset_);
    rest = {first.bytes.substr(offset_, end + 1 - offset_), first.report, first.masked};
    offset_ = end + 1;
  }
  for (const Chunk& chunk : queue_) {
    const auto begin = chunk.bytes.begin() + static_cast<std::ptrdiff_t>(offset_);
    offset_ = 0;
    if (chunk.report) continue;
    progress.settled += static_cast<std::size_t>(chunk.bytes.end() - begin);
    progress.lost += static_cast<std::uint64_t>(std::count(begin, chunk.bytes.end(), '\n'));
  }
  queue_.clear();
  failing_ = true;
  backoff_ = std::clamp<Clock::duration>(backoff_ * 2, kFirstRetry, kLastRetry);
  retry_at_ = Clock::now() + backoff_;
  if (!rest.bytes.empty()) queue_.push_back(std::move(rest));
}

}  // namespace iron::proxy
