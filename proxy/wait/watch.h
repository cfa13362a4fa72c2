#pragma once

#include "proxy/wait/event_loop.h"

namespace iron::proxy {

/// Readiness of one descriptor on its loop. Does not own the descriptor, and ends before it is
/// closed. A stream is registered with the kernel once (edge-triggered): what it announced is
/// remembered until all of it was read, so a steady request costs no system call for waiting.
class Watch final : private Readiness {
 public:
  enum class Kind {
    stream,    ///< who reads, reads until nothing is left
    dial,      ///< a stream of ours that is being connected: arm_write() tells of the outcome
    listener,  ///< each arm_read() tells of what is there
  };
  /// Throws std::bad_alloc where the kernel has no room.
  Watch(EventLoop& loop, int descriptor, Kind kind = Kind::stream);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// Who is woken; null: nobody (readiness is remembered).
  void set_pause(Pause* pause) { pause_ = pause; }
  /// Wakes once reading is worth a try; at once if it is now.
  void arm_read();
  /// Wakes once there is room; only after a write found none, or during a connect. The kernel is
  /// told of the interest once: it tells of room only to those who lacked it.
  void arm_write();
  /// The descriptor is closed right behind the end of this, which takes it out of the set.
  void leave_to_close() { left_to_close_ = true; }
  /// Reading is worth a try.
  bool readable() const { return readable_; }
  bool writable() const { return writable_; }
  /// All that was there has been read. The end of a stream stays readable.
  void clear_readable() { readable_ = ended_; }
  /// A read found less than it had room for. That all has been read, unless the peer sends urgent
  /// data, at which a read stops (tcp(7)).
  void note_short_read() {
    if (!urgent_) clear_readable();
  }

 private:
  void ready(std::uint32_t events) override;

  EventLoop& loop_;
  const int descriptor_;
  std::uint32_t events_;
  Pause* pause_ = nullptr;
  bool readable_ = false, writable_ = false, ended_ = false, urgent_ = false;
  bool read_wanted_ = false, write_wanted_ = false;
  bool left_to_close_ = false;
};

}  // namespace iron::proxy
