#include "proxy/log/log_alarm.h"

#include <algorithm>

namespace iron::proxy {

bool LogAlarm::raise(News news) {
  news_ = std::max(news_, news);
  if (awaited_ == News::none || news_ < awaited_) return false;
  awaited_ = News::none;
  return true;
}

void LogAlarm::sleep(std::unique_lock<std::mutex>& lock, Clock::time_point until, News least) {
  const auto told = [this, least] { return least != News::none && news_ >= least; };
  if (told() || until <= Clock::now()) return;
  awaited_ = least;
  if (until == Clock::time_point::max()) {
    wake_.wait(lock, told);
  } else {
    wake_.wait_until(lock, until, told);
  }
  awaited_ = News::none;
}

}  // namespace iron::proxy
