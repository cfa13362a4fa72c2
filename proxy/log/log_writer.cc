#include "proxy/log/log_writer.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <utility>

namespace iron::proxy {
namespace {

// Above this nothing is gained by waiting for more lines.
constexpr std::size_t kBatchBytes = 256 * 1024;
constexpr std::size_t kTurnBytes = 1024 * 1024;
constexpr std::chrono::milliseconds kBatchWait{10};
constexpr std::chrono::seconds kStopLimit{1};

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

std::uint64_t count_lines(std::string_view lines) {
  return static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
}

}  // namespace

class LogWriter::Turn {
 public:
  Turn(std::unique_lock<std::mutex>& lock, Stream& stream) : lock_(lock), stream_(stream) {
    stream_.busy = true;
    lock_.unlock();
  }
  ~Turn() {
    lock_.lock();
    stream_.busy = false;
  }
  Turn(const Turn&) = delete;

 private:
  std::unique_lock<std::mutex>& lock_;
  Stream& stream_;
};

LogWriter::LogWriter(Options options, std::atomic<bool>& full)
    : options_(std::move(options)),
      batch_bytes_(std::min(kBatchBytes, options_.buffer_bytes / 2 + 1)),
      full_(full) {
  streams_.push_back(std::make_shared<Stream>(options_.stderr_fd, LogSink::Ownership::borrowed));
  requests_ = streams_.front();
}

void LogWriter::start() {
  const std::lock_guard lock(mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

LogWriter::~LogWriter() {
  start();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    stop_at_ = Clock::now() + kStopLimit;
  }
  wake_.notify_one();
  thread_.join();
}

void LogWriter::append(std::string_view line, std::string* before) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    const std::size_t held = buffered_;
    if (before != nullptr && requests_ == streams_.front()) append_lines(*requests_, *before);
    append_line(*streams_.front(), line);
    if (buffered_ == held) return;
    const bool crossed = held < batch_bytes_ && buffered_ >= batch_bytes_;
    wake = std::exchange(sleeping_, false) || crossed;
  }
  if (wake) wake_.notify_one();
}

void LogWriter::append_line(Stream& stream, std::string_view line) {
  // In-flight requests still write their records while new ones wait, so `wait` has a margin.
  const std::size_t limit = options_.buffer_bytes * (options_.drop_when_full ? 1 : 2);
  if (buffered_ + line.size() > limit) {
    ++lost_;
    dropping_ = true;
    return;
  }
  try {
    chunks_.append(stream.pending, line);
  } catch (const std::bad_alloc&) {
    ++lost_;
    return;
  }
  stream.appended += line.size();
  buffered_ += line.size();
  set_full();
}

void LogWriter::append_lines(Stream& stream, std::string& lines) {
  std::string_view rest = lines;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n') + 1);
    append_line(stream, line);
    rest.remove_prefix(line.size());
  }
  lines.clear();
}

LogWriter::Place LogWriter::write(std::string& lines, LogWaiter* waiter) {
  std::unique_lock lock(mutex_);
  Place place;
  place.stream_ = requests_;
  Stream& stream = *place.stream_;
  if (stream.writable() && !stream.has_rest()) {
    write_through(lock, stream, lines);
  } else {
    append_lines(stream, lines);
  }
  place.position_ = stream.appended;
  // What others appended meanwhile, too: they do not write, for somebody did.
  std::size_t written = 0;
  while (stream.writable() && stream.has_rest() && written < kTurnBytes) {
    written += write_rest(lock, stream, LogSink::Attempt::when_due);
  }
  const bool waits = !done(place) && waiter != nullptr;
  if (waits) waiters_.wait(*waiter);
  if (place.stream_ != requests_) retire();
  const bool work = (stream.has_rest() && !stream.busy) || report_due();
  if (work) sleeping_ = false;
  lock.unlock();
  if (work) wake_.notify_one();
  if (!waits) place.stream_.reset();
  return place;
}

/// The usual way: nothing else is there, and the lines go from the worker's memory to the kernel.
void LogWriter::write_through(std::unique_lock<std::mutex>& lock,
                              Stream& stream,
                              std::string& lines) {
  const std::size_t size = lines.size();
  if (size == 0) return;
  stream.appended += size;
  buffered_ += size;
  const std::shared_ptr<const LogSink::Nets> nets = nets_;
  {
    const Turn turn(lock, stream);
    try {
      stream.progress = stream.sink.write(*nets, lines);
    } catch (const std::bad_alloc&) {
      stream.progress.settled = size;
      stream.progress.lost = count_lines(lines);
    }
  }
  lines.clear();
  settle(stream);
}

std::size_t LogWriter::write_rest(std::unique_lock<std::mutex>& lock,
                                  Stream& stream,
                                  LogSink::Attempt attempt) {
  for (std::string& chunk : stream.pending) {
    if (!chunk.empty()) stream.sink.put(std::move(chunk));
  }
  stream.pending.clear();
  const std::shared_ptr<const LogSink::Nets> nets = nets_;
  {
    const Turn turn(lock, stream);
    stream.progress = stream.sink.drain(*nets, kTurnBytes, attempt);
  }
  const std::size_t settled = stream.progress.settled;
  settle(stream);
  return settled;
}

bool LogWriter::done(const Place& place) const {
  const Stream& stream = *place.stream_;
  return stream.settled >= place.position_ || stream.stalled || stream.failing;
}

bool LogWriter::left(const Place& place, LogWaiter& waiter) {
  const std::lock_guard lock(mutex_);
  if (done(place)) return true;
  waiters_.wait(waiter);
  return false;
}

bool LogWriter::give_up(const Place& place, bool in_any_case) {
  std::unique_lock lock(mutex_);
  Stream& stream = *place.stream_;
  if (stream.busy && stream.never_waits && !in_any_case) return false;
  // The thread may have had no time yet to see what the reader took.
  if (!stream.busy && !stream.failing && stream.never_waits) {
    try {
      write_rest(lock, stream, LogSink::Attempt::when_due);
    } catch (const std::bad_alloc&) {
    }
  }
  if (!done(place)) stream.stalled = true;
  return true;
}

void LogWriter::attach(LogWaiter& waiter) {
  const std::lock_guard lock(mutex_);
  waiters_.attach(waiter);
}

void LogWriter::detach(LogWaiter& waiter) {
  const std::lock_guard lock(mutex_);
  waiters_.detach(waiter);
}

void LogWriter::redirect_requests(int descriptor) {
  // The stream is made before the lock is taken: it looks at the descriptor.
  auto stream =
      descriptor < 0 ? nullptr : std::make_shared<Stream>(descriptor, LogSink::Ownership::owned);
  {
    const std::lock_guard lock(mutex_);
    if (stream) streams_.push_back(stream);
    requests_ = stream ? std::move(stream) : streams_.front();
    retire();
  }
  wake_.notify_one();
}

void LogWriter::guard(std::shared_ptr<const transforms::KeyNet> net) {
  auto next = std::make_shared<LogSink::Nets>();
  next->push_back(std::move(net));
  const std::lock_guard lock(mutex_);
  if (!nets_->empty()) next->push_back(nets_->front());
  nets_ = std::move(next);
}

bool LogWriter::flush(std::chrono::milliseconds limit) {
  start();
  std::unique_lock lock(mutex_);
  std::vector<std::pair<std::shared_ptr<Stream>, std::uint64_t>> targets;
  for (const auto& stream : streams_) targets.emplace_back(stream, stream->appended);
  ++flushing_;
  wake_.notify_one();
  const bool done = settled_.wait_for(lock, limit, [&] {
    return std::all_of(targets.begin(), targets.end(),
                       [](const auto& target) { return target.first->settled >= target.second; });
  });
  --flushing_;
  return done;
}

void LogWriter::run() {
  block_signals();
  std::unique_lock lock(mutex_);
  while (true) {
    wait_for_work(lock);
    if (stopping_ && (finished() || Clock::now() >= stop_at_)) return;
    try {
      write_round(lock);
    } catch (const std::bad_alloc&) {
      // What was not handed over yet is still there, and there may be memory for it in a moment.
      wake_.wait_for(lock, kBatchWait, [this] { return stopping_; });
    }
  }
}

void LogWriter::write_round(std::unique_lock<std::mutex>& lock) {
  const auto attempt = urgent() ? LogSink::Attempt::now : LogSink::Attempt::when_due;
  round_ = streams_;  // they may change while one of them is written to
  for (const auto& stream : round_) {
    if (stream->busy) continue;
    if (stream == round_.front()) report_lost(attempt);
    write_rest(lock, *stream, attempt);
  }
  retire();
  wait_for_readers(lock);
}

/// Files that were rotated away are closed once all of theirs is written.
void LogWriter::retire() {
  std::erase_if(streams_, [this](const auto& stream) {
    return stream != streams_.front() && stream != requests_ && !stream->busy &&
           !stream->has_rest();
  });
}

void LogWriter::wait_for_work(std::unique_lock<std::mutex>& lock) {
  // What a reader left lying is no batch that grows: pauses would keep it behind for ever.
  bool at_once = std::exchange(reader_took_, false);
  while (!stopping_) {
    const auto now = Clock::now();
    Clock::time_point retry_at = Clock::time_point::max();
    if (has_work(now, retry_at)) break;
    at_once = false;
    sleeping_ = true;
    if (retry_at == Clock::time_point::max()) {
      wake_.wait(lock);
    } else {
      wake_.wait_until(lock, retry_at);
    }
    sleeping_ = false;
  }
  if (at_once) return;
  wake_.wait_for(lock, kBatchWait, [this] { return urgent() || waiters_.any(); });
}

bool LogWriter::urgent() const { return stopping_ || flushing_ > 0 || buffered_ >= batch_bytes_; }

bool LogWriter::finished() const {
  return buffered_ == 0 && (lost_ == 0 || streams_.front()->failing);
}

bool LogWriter::has_work(Clock::time_point now, Clock::time_point& retry_at) const {
  for (const auto& stream : streams_) {
    if (stream->busy) continue;  // its writer wakes this thread if something is left
    const bool report = stream == streams_.front() && report_due();
    if (!report && !stream->has_rest()) continue;
    if (!stream->failing || urgent() || stream->retry_at <= now) return true;
    retry_at = std::min(retry_at, stream->retry_at);
  }
  return false;
}

// While another file fails the count still grows, so it is told later.
bool LogWriter::report_due() const {
  if (lost_ == 0 || reported_ > 0 || dropping_) return false;
  if (streams_.front()->failing || stopping_) return true;
  return std::none_of(streams_.begin() + 1, streams_.end(),
                      [](const auto& stream) { return stream->failing; });
}

void LogWriter::report_lost(LogSink::Attempt attempt) {
  if (!report_due()) return;
  // A failing stderr is tried with the report itself.
  Stream& out = *streams_.front();
  const bool attempted = attempt == LogSink::Attempt::now || out.retry_at <= Clock::now();
  if (out.failing && !attempted) return;
  std::string line = options_.render_lost(lost_);
  if (line.empty()) {
    lost_ = 0;
    return;
  }
  reported_ = lost_;
  out.sink.put_report(std::move(line));
  out.held = true;
}

// Short waits: the other streams and the end of the program are looked after in between.
void LogWriter::wait_for_readers(std::unique_lock<std::mutex>& lock) {
  std::vector<pollfd> blocked;
  bool failing = false;
  for (const auto& stream : round_) {
    if (!stream->busy && !stream->blocked && !stream->failing && stream->has_rest()) return;
    if (stream->blocked) blocked.push_back({stream->sink.descriptor(), POLLOUT, 0});
    failing = failing || stream->failing;
  }
  if (blocked.empty() && !failing) return;
  lock.unlock();
  reader_took_ = ::poll(blocked.data(), blocked.size(), round_.size() > 1 || failing ? 10 : 50) > 0;
  lock.lock();
}

/// Takes over what the writer of a stream leaves behind.
void LogWriter::settle(Stream& stream) {
  LogSink::Progress& progress = stream.progress;
  buffered_ -= progress.settled;
  stream.settled += progress.settled;
  stream.blocked = progress.blocked;
  stream.failing = stream.sink.failing();
  stream.retry_at = stream.sink.retry_at();
  stream.held = !stream.sink.empty();
  stream.never_waits = stream.sink.never_waits();
  if (!stream.has_rest()) stream.stalled = false;
  if (&stream == streams_.front().get() && reported_ > 0) {
    if (progress.report_written) lost_ -= reported_;
    // Lost with the rest: told again, with the new count, at the next attempt.
    if (progress.report_written || stream.failing) reported_ = 0;
  }
  lost_ += progress.lost;
  chunks_.give_back(progress.spent);
  progress = {};
  set_full();
  waiters_.tell();
  if (flushing_ > 0) settled_.notify_all();
}

void LogWriter::set_full() {
  if (buffered_ <= options_.buffer_bytes / 4 * 3) {
    // Every worker reads it for each request; written in vain it would go back and forth.
    if (full_.load(std::memory_order_relaxed)) full_ = false;
    dropping_ = false;
  } else if (!options_.drop_when_full && buffered_ >= options_.buffer_bytes) {
    full_ = true;
  }
}

}  // namespace iron::proxy
