#include "proxy/wait/watch.h"

#include <sys/epoll.h>

namespace iron::proxy {
namespace {
constexpr std::uint32_t kEnds = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

constexpr std::uint32_t events_of(Watch::Kind kind) {
  constexpr std::uint32_t kStream = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET;
  switch (kind) {
    case Watch::Kind::stream:
      return kStream;
    case Watch::Kind::dial:
      return kStream | EPOLLOUT;
    case Watch::Kind::listener:
      return EPOLLONESHOT;
  }
  return 0;
}
}  // namespace

Watch::Watch(EventLoop& loop, int descriptor, Kind kind)
    : loop_(loop), descriptor_(descriptor), events_(events_of(kind)) {
  loop_.poller().add(descriptor_, events_, *this);
}

Watch::~Watch() {
  if (!left_to_close_) loop_.poller().remove(descriptor_);
}

void Watch::ready(std::uint32_t events) {
  if ((events & (EPOLLIN | kEnds)) != 0) readable_ = true;
  if ((events & kEnds) != 0 && (events_ & EPOLLONESHOT) == 0) ended_ = true;
  if ((events & EPOLLPRI) != 0) urgent_ = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) writable_ = true;
  const bool wanted = (read_wanted_ && readable_) || (write_wanted_ && writable_);
  if (!wanted) return;
  read_wanted_ = read_wanted_ && !readable_;
  write_wanted_ = write_wanted_ && !writable_;
  if (pause_ != nullptr) pause_->wake();
}

void Watch::arm_read() {
  if ((events_ & EPOLLONESHOT) != 0) {
    readable_ = false;
    read_wanted_ = true;
    loop_.poller().modify(descriptor_, events_ | EPOLLIN, *this);
  } else if (!readable_) {
    read_wanted_ = true;
  } else if (pause_ != nullptr) {
    pause_->wake();
  }
}

void Watch::arm_write() {
  writable_ = false;
  write_wanted_ = true;
  if ((events_ & EPOLLOUT) != 0) return;  // the kernel tells of room that it did not have
  events_ |= EPOLLOUT;
  loop_.poller().modify(descriptor_, events_, *this);
}

}  // namespace iron::proxy
