#pragma once

#include <string>
#include <vector>

#include "policy/config/config.h"
#include "proxy/guard/landlock.h"

namespace iron::proxy {

class Log;

/// The process confines itself, so that whoever takes it over from a connection finds little to do
/// with it (docs/security.md, "Confinement"). Does nothing with `hardening: off`; what the kernel
/// lacks is left out and named in the record.
class Hardening {
 public:
  /// `files`: further ones that are read while serving, each with its directory. `calls_out`: the
  /// program makes calls of its own, for which the system's own lookups count.
  explicit Hardening(const policy::Config& config,
                     const std::vector<std::string>& files = {},
                     bool calls_out = false);
  /// False in sanitizer builds: they map shadow memory, read /proc and trace their own threads.
  static bool possible();

  /// Whether confine_files() will keep the process from files that take the place of others. Costs
  /// nothing, unlike an object, which looks for all files of the trust store.
  static bool needs_broker(const policy::Config& config) {
    return config.hardening == "auto" && possible() && landlock_version() > 0;
  }
  /// Whether the process can read such a file once it is confined, as far as directories say.
  bool may_read(const std::string& path) const;
  /// First half, for the calling thread and those made later: no capabilities, no new privileges,
  /// and no files but those that a reload, a lookup and the log need. To be called when the sockets
  /// are bound and before any thread is made: an earlier one would be a way around it.
  void confine_files();
  /// Second half, for all threads: no system calls but those of serving. To be called when the
  /// sockets listen.
  void confine_calls();
  /// The record `hardening`.
  void report(Log& log) const;

 private:
  void apply(const char* name, const Result<void>& outcome);
  bool asks_c_library() const;
  void prepare_lookups();

  bool wanted_, calls_out_;
  std::string resolver_;
  std::vector<FileGrant> grants_;
  bool local_sockets_ = false;
  bool no_new_privileges_ = false, files_confined_ = false;
  std::vector<std::string> applied_, unavailable_;
};

/// What a running proxy opens: the directories of the configuration and of the CA files (a file
/// may be replaced by a new one), the trust store, what lookups and the clock read, and the audit
/// file with its directory, where a file that was moved away is made anew.
std::vector<FileGrant> files_in_use(const policy::Config& config);

/// Files of a running proxy that others replace, by their names: those that lookups read, the
/// configuration, the CA pair, the audit file.
std::vector<FileGrant> files_to_follow(const policy::Config& config);

}  // namespace iron::proxy
