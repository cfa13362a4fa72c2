#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "transforms/program_need.h"

namespace iron::proxy {

/// A process of its own that starts programs (docs/security.md, "Confinement"): the server,
/// once confined, can start none. It knows the programs by their numbers, never runs a shell, sees
/// nothing of what they write, and ends with its parent, and they with it.
class ProgramRunner {
 public:
  static constexpr std::chrono::seconds kLimit{30};  ///< then a program is killed
  static constexpr std::size_t kMostAtOnce = 32;
  static constexpr std::size_t kLongestSecret = std::size_t{16} << 10;

  /// Finds the programs, and makes the process if there is any of them. To be called when the keys
  /// have been taken out of the environment, which the process gets a copy of, and before any
  /// thread is made or anything confined.
  explicit ProgramRunner(const std::vector<transforms::ProgramNeed>& needs,
                         std::chrono::milliseconds limit = kLimit);
  /// Ends the process, without waiting.
  ~ProgramRunner();
  ProgramRunner(const ProgramRunner&) = delete;
  ProgramRunner& operator=(const ProgramRunner&) = delete;

  /// The number of just this program with just these arguments; nothing: the start did not name it.
  std::optional<std::uint32_t> number_of(const transforms::ProgramNeed& need) const;
  /// Whether there was such a program.
  bool found(std::uint32_t number) const { return !programs_[number].path.empty(); }
  /// Keeps messages apart; -1: there is no process.
  int socket() const { return socket_; }
  pid_t process() const { return process_; }
  /// Ends the process and waits, 200 ms at most, until it is gone.
  void end();

  struct Program {
    transforms::ProgramNeed need;
    std::string path;  ///< absolute
  };
  /// To the process. Behind it come the bytes of the key.
  struct Order {
    enum class Kind : std::uint32_t { run, kill };
    Kind kind = Kind::run;
    std::uint32_t run = 0;  ///< the asker's number for it
    std::uint32_t program = 0;
  };
  /// From it.
  struct News {
    enum class Kind : std::uint32_t {
      started,  ///< the descriptors of what it writes come with it: output, errors
      refused,  ///< `code` is `errno`
      ended,    ///< `code` is as of waitpid(2); all that it wrote is there
    };
    Kind kind = Kind::started;
    std::uint32_t run = 0;
    std::int32_t code = 0;
  };

 private:
  void start_process(std::chrono::milliseconds limit);

  std::vector<Program> programs_;
  int socket_ = -1;
  pid_t process_ = -1;
};

/// The process's side, until the other end of `socket` closes or `parent` ends. To be called in a
/// process just made, by its only thread.
[[noreturn]] void run_program_runner(int socket,
                                     pid_t parent,
                                     const std::vector<ProgramRunner::Program>& programs,
                                     std::chrono::milliseconds limit);

/// What programs get of an environment: variables that say where things are and how to get out, and
/// none that may be a key.
std::vector<std::string> environment_for_programs(char* const* environment);

}  // namespace iron::proxy
