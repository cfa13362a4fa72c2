#include "proxy/wait/mailbox.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <system_error>
#include <utility>

namespace iron::proxy {

Mailbox::Mailbox(Poller& poller) : signal_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (signal_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  poller.add(signal_, EPOLLIN, *this);
}

Mailbox::~Mailbox() { ::close(signal_); }

void Mailbox::send(Message& message) noexcept {
  const std::lock_guard lock(mutex_);
  if (std::exchange(message.sent_, true)) return;
  message.next_ = nullptr;
  (last_ != nullptr ? last_->next_ : first_) = &message;
  last_ = &message;
  if (std::exchange(signalled_, true)) return;
  const std::uint64_t one = 1;
  (void)!::write(signal_, &one, sizeof one);  // fails only where it is signalled already
}

void Mailbox::withdraw(Message& message) noexcept {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(message.sent_, false)) return;
  Message* before = nullptr;
  Message* at = first_;
  while (at != &message) {
    before = at;
    at = at->next_;
  }
  (before != nullptr ? before->next_ : first_) = message.next_;
  if (last_ == &message) last_ = before;
}

Message* Mailbox::take() {
  const std::lock_guard lock(mutex_);
  Message* const message = first_;
  if (message == nullptr) return nullptr;
  first_ = message->next_;
  if (first_ == nullptr) last_ = nullptr;
  message->sent_ = false;
  return message;
}

bool Mailbox::deliver_next() {
  Message* const message = take();
  announced_ = message != nullptr;
  if (!announced_) return false;
  message->deliver();
  return true;
}

void Mailbox::ready(std::uint32_t) {
  announced_ = true;
  std::uint64_t count = 0;
  const std::lock_guard lock(mutex_);
  (void)!::read(signal_, &count, sizeof count);
  signalled_ = false;
}

}  // namespace iron::proxy
