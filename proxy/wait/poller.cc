#include "proxy/wait/poller.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <new>
#include <system_error>

namespace iron::proxy {
namespace {
constexpr int kMostAtOnce = 128;
}  // namespace

Poller::Poller() : set_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (set_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

Poller::~Poller() { ::close(set_); }

void Poller::add(int descriptor, std::uint32_t events, Readiness& told) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &told;
  if (::epoll_ctl(set_, EPOLL_CTL_ADD, descriptor, &event) != 0) throw std::bad_alloc();
}

void Poller::modify(int descriptor, std::uint32_t events, Readiness& told) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &told;
  ::epoll_ctl(set_, EPOLL_CTL_MOD, descriptor, &event);
}

void Poller::remove(int descriptor) { ::epoll_ctl(set_, EPOLL_CTL_DEL, descriptor, nullptr); }

bool Poller::wait(std::chrono::nanoseconds limit) {
  int milliseconds = -1;
  if (limit.count() >= 0) {
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(limit).count();
    milliseconds = static_cast<int>(std::min<std::int64_t>(rounded, INT_MAX));
  }
  std::array<epoll_event, kMostAtOnce> events;
  const int count = ::epoll_wait(set_, events.data(), kMostAtOnce, milliseconds);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    static_cast<Readiness*>(event.data.ptr)->ready(event.events);
  }
  return count > 0;
}

}  // namespace iron::proxy
