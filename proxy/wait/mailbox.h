#pragma once

#include <cstdint>
#include <mutex>

#include "proxy/wait/poller.h"

namespace iron::proxy {

class Mailbox;

/// Something that is done on a loop's thread because another thread said so. Sending it needs no
/// memory; it may be sent again once it is being delivered, and until then sending it is harmless.
class Message {
 public:
  virtual ~Message() = default;

 protected:
  /// On the loop's thread.
  virtual void deliver() = 0;

 private:
  friend class Mailbox;
  Message* next_ = nullptr;
  bool sent_ = false;
};

/// What other threads send to a loop, in its order. Thread safe.
class Mailbox final : private Readiness {
 public:
  explicit Mailbox(Poller& poller);  ///< throws std::system_error
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;

  /// `message` lives until it is delivered or withdrawn.
  void send(Message& message) noexcept;
  /// A message that is not sent is left alone.
  void withdraw(Message& message) noexcept;
  /// Something was sent since deliver_next() found nothing. Takes no lock: most turns of a loop
  /// bring no message. On the loop's thread, as the next one.
  bool announced() const { return announced_; }
  /// Delivers one; false if there is none.
  bool deliver_next();
  /// Takes one out without delivering it; null if there is none.
  Message* take();

 private:
  void ready(std::uint32_t events) override;

  int signal_;  ///< eventfd(2)
  std::mutex mutex_;
  Message* first_ = nullptr;
  Message* last_ = nullptr;
  bool signalled_ = false;
  bool announced_ = false;  ///< the loop's thread alone
};

}  // namespace iron::proxy
