#include "proxy/log/log_waiters.h"

#include <utility>

namespace iron::proxy {

void LogWaiters::detach(LogWaiter& waiter) {
  if (std::exchange(waiter.waits_, false)) --waiting_;
  std::erase(waiters_, &waiter);
}

void LogWaiters::wait(LogWaiter& waiter) {
  if (!std::exchange(waiter.waits_, true)) ++waiting_;
}

void LogWaiters::tell() {
  if (waiting_ == 0) return;
  for (LogWaiter* waiter : waiters_) {
    if (std::exchange(waiter->waits_, false)) waiter->on_progress();
  }
  waiting_ = 0;
}

}  // namespace iron::proxy
