#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "policy/secret/secret.h"
#include "proxy/guard/program_runner.h"
#include "proxy/wait/event_loop.h"
#include "transforms/outside.h"

namespace iron::proxy {

class ProgramAttempt;

/// The loop's end of the line to the program runner: several programs may run at once, and what is
/// told of them goes to whoever waits.
class ProgramLine final : private Readiness {
 public:
  /// Both outlive it; null: no program can be run.
  ProgramLine(EventLoop& loop, const ProgramRunner* runner);
  ~ProgramLine();
  ProgramLine(const ProgramLine&) = delete;

 private:
  friend class ProgramAttempt;
  void ready(std::uint32_t events) override;
  bool receive();
  /// False: it cannot be sent now.
  bool send(const ProgramRunner::Order& order, const Secret* secret) const;
  void hang_up();

  EventLoop& loop_;
  const ProgramRunner* const runner_;
  bool open_ = false;
  std::uint32_t last_run_ = 0;
  std::vector<ProgramAttempt*> under_way_;
};

/// One run of a program, for somebody who sleeps on a Pause: look() whenever that wakes him. What
/// still runs at its end is killed.
class ProgramAttempt {
 public:
  static constexpr std::size_t kMost = std::size_t{1} << 20;  ///< bytes of output

  /// All outlive it.
  ProgramAttempt(ProgramLine& line, Pause& pause, const transforms::ProgramRun& program);
  ~ProgramAttempt();
  ProgramAttempt(const ProgramAttempt&) = delete;

  /// Takes what was written meanwhile; true: it is over.
  bool look();
  /// When it is over; as of Outside::run().
  Result<Secret> outcome();

 private:
  friend class ProgramLine;

  /// One of the descriptors that the program writes to. Both may carry keys.
  struct Output final : Readiness {
    Output(EventLoop& loop_in, Pause& pause_in) : loop(loop_in), pause(pause_in) {}
    ~Output() { close(); }
    void ready(std::uint32_t) override { pause.wake(); }
    void watch();
    void close();
    /// Reads once, up to `most` bytes in all; false: there is nothing now, or no more.
    bool read(std::size_t most);
    void make_room(std::size_t most);

    EventLoop& loop;
    Pause& pause;
    int descriptor = -1;
    Secret bytes;
    std::size_t used = 0;
  };

  void begin(const transforms::ProgramRun& program);
  void hear(const ProgramRunner::News& news, const int (&descriptors)[2]);
  void end_with(std::string text, Fault fault = Fault::other);
  std::string last_error_line() const;
  void read_errors();

  ProgramLine& line_;
  Pause& pause_;
  const std::uint32_t run_;
  const transforms::SecretPtr secret_;
  bool sent_ = false;           ///< and not yet ended
  std::optional<Error> fault_;  ///< it did not come to an end of its own
  std::optional<int> status_;   ///< as of waitpid(2)
  Output output_, errors_;
};

}  // namespace iron::proxy
