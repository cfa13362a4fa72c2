#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "proxy/wait/event_loop.h"

namespace iron::proxy {

/// Readiness of one descriptor on its loop. Waits stay armed across sessions' sleeps: the
/// wait that notices a client leaving during an upstream call is the one that brings its next
/// request, so a steady request costs one registration per side. Does not own the descriptor.
class Watch {
 public:
  Watch(EventLoop& loop, int descriptor);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// Who is woken; null: nobody (readiness is remembered).
  void set_pause(Pause* pause) { state_->pause = pause; }
  void arm_read();
  void arm_write();
  /// Forgets the interest in writing: Asio keeps it in the kernel's set, and each acknowledgement
  /// would wake the worker.
  void forget_writing();
  /// Set by a read event and kept until clear_readable(): reading is worth a try.
  bool readable() const { return state_->readable; }
  bool writable() const { return state_->writable; }
  void clear_readable() { state_->readable = false; }
  void clear_writable() { state_->writable = false; }

 private:
  using Descriptor =
      boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type>;
  /// Outlives the Watch while a handler of the loop still refers to it.
  struct State {
    EventLoop& loop;
    Pause* pause = nullptr;
    int references = 1;
    bool readable = false, writable = false, read_armed = false, write_armed = false;
  };
  struct Handler;
  static void drop(State* state);

  Descriptor descriptor_;
  State* state_;
};

}  // namespace iron::proxy
