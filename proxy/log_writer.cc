#include "proxy/log_writer.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <utility>

namespace iron::proxy {
namespace {

constexpr std::size_t kChunkBytes = 64 * 1024;
constexpr std::size_t kSpareChunks = 16;
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

}  // namespace

LogWriter::LogWriter(Options options, std::atomic<bool>& full)
    : options_(std::move(options)), full_(full) {
  streams_.push_back(std::make_shared<Stream>(options_.stderr_fd, LogSink::Ownership::borrowed));
  requests_ = streams_.front();
  spare_.reserve(kSpareChunks);  // settle() may not end half-way
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

void LogWriter::append(Channel channel, std::string_view line) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    // In-flight requests still write their records while new ones wait, so `wait` has a margin.
    const std::size_t limit = options_.buffer_bytes * (options_.drop_when_full ? 1 : 2);
    if (buffered_ + line.size() > limit) {
      ++lost_;
      dropping_ = true;
      return;
    }
    Stream& stream = channel == Channel::requests ? *requests_ : *streams_.front();
    try {
      append_to(stream.pending, line);
    } catch (const std::bad_alloc&) {
      ++lost_;
      return;
    }
    stream.appended += line.size();
    const bool crossed = buffered_ < kBatchBytes && buffered_ + line.size() >= kBatchBytes;
    wake = std::exchange(sleeping_, false) || crossed;
    buffered_ += line.size();
    if (!options_.drop_when_full && buffered_ >= options_.buffer_bytes) full_ = true;
  }
  if (wake) wake_.notify_one();
}

void LogWriter::append_to(std::deque<std::string>& pending, std::string_view line) {
  if (pending.empty() || pending.back().size() + line.size() > kChunkBytes) {
    if (spare_.empty()) {
      pending.emplace_back();
    } else {
      pending.push_back(std::move(spare_.back()));
      spare_.pop_back();
    }
  }
  std::string& chunk = pending.back();
  if (chunk.empty()) chunk.reserve(std::max(kChunkBytes, line.size()));
  chunk.append(line);
}

void LogWriter::redirect_requests(int descriptor) {
  // The stream is made before the lock is taken: it looks at the descriptor.
  auto stream =
      descriptor < 0 ? nullptr : std::make_shared<Stream>(descriptor, LogSink::Ownership::owned);
  {
    const std::lock_guard lock(mutex_);
    if (stream) streams_.push_back(stream);
    requests_ = stream ? std::move(stream) : streams_.front();
  }
  wake_.notify_one();
}

void LogWriter::guard(std::shared_ptr<const transforms::KeyNet> net) {
  LogSink::Nets next{std::move(net)};
  const std::lock_guard lock(mutex_);
  if (!nets_.empty()) next.push_back(std::move(nets_.front()));
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
      if (!lock.owns_lock()) lock.lock();
      wake_.wait_for(lock, kBatchWait, [this] { return stopping_; });
    }
  }
}

void LogWriter::write_round(std::unique_lock<std::mutex>& lock) {
  collect();
  lock.unlock();
  drain();
  lock.lock();
  settle();
}

void LogWriter::wait_for_work(std::unique_lock<std::mutex>& lock) {
  while (!stopping_) {
    const auto now = Clock::now();
    Clock::time_point retry_at = Clock::time_point::max();
    if (has_work(now, retry_at)) break;
    sleeping_ = true;
    if (retry_at == Clock::time_point::max()) {
      wake_.wait(lock);
    } else {
      wake_.wait_until(lock, retry_at);
    }
    sleeping_ = false;
  }
  wake_.wait_for(lock, kBatchWait, [this] { return urgent(); });
}

bool LogWriter::urgent() const { return stopping_ || flushing_ > 0 || buffered_ >= kBatchBytes; }

bool LogWriter::finished() const {
  return buffered_ == 0 && (lost_ == 0 || streams_.front()->sink.failing());
}

bool LogWriter::has_work(Clock::time_point now, Clock::time_point& retry_at) const {
  for (const auto& stream : streams_) {
    const bool report = stream == streams_.front() && report_due();
    if (!report && stream->pending.empty() && stream->sink.empty()) continue;
    if (!stream->sink.failing() || urgent() || stream->sink.retry_at() <= now) return true;
    retry_at = std::min(retry_at, stream->sink.retry_at());
  }
  return false;
}

void LogWriter::collect() {
  attempt_ = urgent() ? LogSink::Attempt::now : LogSink::Attempt::when_due;
  report_lost();
  for (const auto& stream : streams_) {
    for (std::string& chunk : stream->pending) {
      if (!chunk.empty()) stream->sink.put(std::move(chunk));
    }
    stream->pending.clear();
  }
  round_ = streams_;
  round_nets_ = nets_;
}

// While another file fails the count still grows, so it is told later.
bool LogWriter::report_due() const {
  if (lost_ == 0 || reported_ > 0 || dropping_) return false;
  if (streams_.front()->sink.failing() || stopping_) return true;
  return std::none_of(streams_.begin() + 1, streams_.end(),
                      [](const auto& stream) { return stream->sink.failing(); });
}

void LogWriter::report_lost() {
  if (!report_due()) return;
  // A failing stderr is tried with the report itself.
  LogSink& out = streams_.front()->sink;
  const bool attempted = attempt_ == LogSink::Attempt::now || out.retry_at() <= Clock::now();
  if (out.failing() && !attempted) return;
  std::string line = options_.render_lost(lost_);
  if (line.empty()) {
    lost_ = 0;
    return;
  }
  reported_ = lost_;
  out.put_report(std::move(line));
}

void LogWriter::drain() {
  for (const auto& stream : round_) stream->sink.mask_keys(round_nets_);
  for (const auto& stream : round_) stream->progress = stream->sink.drain(kTurnBytes, attempt_);
  const bool stuck = std::all_of(round_.begin(), round_.end(), [](const auto& stream) {
    return stream->progress.blocked || stream->sink.failing() || stream->sink.empty();
  });
  if (stuck) wait_for_readers();
}

// Short waits: the other streams and the end of the program are looked after in between.
void LogWriter::wait_for_readers() {
  std::vector<pollfd> blocked;
  bool failing = false;
  for (const auto& stream : round_) {
    if (stream->progress.blocked) blocked.push_back({stream->sink.descriptor(), POLLOUT, 0});
    failing = failing || stream->sink.failing();
  }
  if (blocked.empty() && !failing) return;
  ::poll(blocked.data(), blocked.size(), round_.size() > 1 || failing ? 10 : 50);
}

void LogWriter::settle() {
  for (const auto& stream : round_) {
    LogSink::Progress& progress = stream->progress;
    buffered_ -= progress.settled;
    stream->settled += progress.settled;
    if (stream == streams_.front() && reported_ > 0) {
      if (progress.report_written) lost_ -= reported_;
      // Lost with the rest: told again, with the new count, at the next attempt.
      if (progress.report_written || stream->sink.failing()) reported_ = 0;
    }
    lost_ += progress.lost;
    for (std::string& chunk : progress.spent) {
      if (spare_.size() >= kSpareChunks || chunk.capacity() > 2 * kChunkBytes) continue;
      chunk.clear();
      spare_.push_back(std::move(chunk));
    }
    progress = {};
  }
  std::erase_if(streams_, [this](const auto& stream) {
    return stream != streams_.front() && stream != requests_ && stream->pending.empty() &&
           stream->sink.empty();
  });
  if (buffered_ <= options_.buffer_bytes / 4 * 3) {
    full_ = false;
    dropping_ = false;
  }
  settled_.notify_all();
}

}  // namespace iron::proxy
