#include "proxy/log/log_writer.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "proxy/log/descriptor_sink.h"

namespace iron::proxy {
namespace {

using Clock = LineQueue::Clock;

constexpr std::chrono::seconds kStopLimit{1};

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

/// Whether one of them has room before that time.
bool wait_for_room(std::vector<pollfd>& readers, Clock::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
  const int limit = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
  return ::poll(readers.data(), readers.size(), limit) > 0;
}

}  // namespace

LogWriter::LogWriter(Options options, std::atomic<bool>& full)
    : queue_(
          {.bytes = options.buffer_bytes, .drop_when_full = options.drop_when_full},
          std::make_unique<DescriptorSink>(options.stderr_fd, DescriptorSink::Ownership::borrowed),
          full),
      drain_(queue_, std::move(options.render_lost)) {}

void LogWriter::start() {
  const std::lock_guard lock(starting_);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

LogWriter::~LogWriter() {
  start();
  queue_.stop(Clock::now() + kStopLimit);
  thread_.join();
}

LogWriter::Place LogWriter::write(std::string& lines, LogWaiter* waiter) {
  LineQueue::Turn turn = queue_.begin(lines, waiter);
  while (turn.mine()) {
    LineSender::Progress progress = turn.write(lines);
    queue_.settle(turn, progress, progress.failed ? Clock::now() : Clock::time_point{});
  }
  lines.clear();
  return std::move(turn.place());
}

bool LogWriter::give_up(const Place& place, bool in_any_case) {
  LineQueue::Turn turn = queue_.last_attempt(place);
  if (turn.mine()) {
    std::string none;
    LineSender::Progress progress = turn.write(none);
    queue_.settle(turn, progress, Clock::now());
  }
  return queue_.give_up(place, in_any_case);
}

void LogWriter::redirect_requests(int descriptor) {
  queue_.redirect_requests(descriptor < 0 ? nullptr
                                          : std::make_unique<DescriptorSink>(
                                                descriptor, DescriptorSink::Ownership::owned));
}

bool LogWriter::flush(std::chrono::milliseconds limit) {
  start();
  return queue_.flush(limit);
}

void LogWriter::run() {
  block_signals();
  bool reader_took = false;
  while (true) {
    LogDrain::Step step = drain_.step(Clock::now(), reader_took);
    if (step.ended) return;
    reader_took = !step.readers.empty() && wait_for_room(step.readers, step.wait_until);
    if (step.readers.empty()) queue_.sleep(step.wait_until, step.wake);
  }
}

}  // namespace iron::proxy
