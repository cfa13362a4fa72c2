#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "policy/config/open_file.h"
#include "proxy/guard/landlock.h"

namespace iron::proxy {

/// A process of its own that opens a few files and hands them over (docs/security.md,
/// "Confinement"). Landlock knows files and not names: a confined process may not open the new file
/// that a rename has put in the place of one it may. The broker may, and nothing else: it has no
/// key, no socket but the one to its parent, and only the system calls to open the files that were
/// named at its start. It ends with its parent. Thread safe.
class FileBroker final : public policy::FileHelper {
 public:
  /// Makes the process; null if that cannot be done. To be called before any key is read and before
  /// any thread is made. From then on open_file() asks it.
  static std::unique_ptr<FileBroker> start(std::vector<FileGrant> files);
  /// Ends the process, without waiting: a start that fails is to fail at once.
  ~FileBroker() override;
  FileBroker(const FileBroker&) = delete;
  FileBroker& operator=(const FileBroker&) = delete;

  /// EACCES for a file that was not named at the start, and when the process is gone. Waits 2 s at
  /// most.
  int open(const std::string& path, int flags) override;
  /// Ends the process and waits, 200 ms at most, until it is gone. All calls of open() fail then.
  void end();
  pid_t process() const { return process_; }

  /// What goes over the socket, which keeps messages apart. An old answer, which nobody waited for,
  /// is told by its number.
  struct Question {
    std::uint32_t number = 0, file = 0;
  };
  struct Answer {
    std::uint32_t number = 0;
    std::int32_t error = 0;  ///< `errno`; 0: a descriptor comes with it
  };

 private:
  FileBroker(int socket, pid_t process, std::vector<FileGrant> files);

  const int socket_;
  const pid_t process_;
  const std::vector<FileGrant> files_;
  std::mutex mutex_;
  std::uint32_t number_ = 0;
};

/// The broker's side: answers on `socket` until the other end closes or `parent` ends. To be called
/// in a process just made, by its only thread.
[[noreturn]] void run_file_broker(int socket, pid_t parent, const std::vector<FileGrant>& files);

}  // namespace iron::proxy
