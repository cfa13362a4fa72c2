#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace iron::proxy {

/// Wakes the log's thread, by what it sleeps for: lines are no reason while it lets a batch grow.
/// All but notify() is used under the log's lock.
class LogAlarm {
 public:
  using Clock = std::chrono::steady_clock;
  enum class News { none, lines, urgent };

  /// What is known until now is no news.
  void reset() { news_ = News::none; }
  News news() const { return news_; }
  /// True if somebody sleeps for that: then notify() is called, best without the lock.
  bool raise(News news);
  void notify() { wake_.notify_one(); }
  /// Until `least` was raised since reset(), or until then.
  void sleep(std::unique_lock<std::mutex>& lock, Clock::time_point until, News least);

 private:
  News news_ = News::none;
  News awaited_ = News::none;  ///< none: nobody sleeps for news
  std::condition_variable wake_;
};

}  // namespace iron::proxy
