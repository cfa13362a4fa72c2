#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/guard/landlock.h"

namespace iron::proxy {

class Log;

/// Finds files that others have replaced and that this process cannot open, so that it would go on
/// with what the old ones said. For one thread.
class ReplacedFiles {
 public:
  /// Remembers which files the paths lead to.
  explicit ReplacedFiles(const std::vector<FileGrant>& files);
  /// Looks again; the record `file replaced, restart needed` for each new file that cannot be
  /// opened. A file that is gone is not one.
  void check(Log& log);

 private:
  using Identity = std::optional<std::pair<dev_t, ino_t>>;
  static Identity identity(const std::string& path);
  struct Followed {
    FileGrant file;
    Identity seen;
  };
  std::vector<Followed> files_;
};

}  // namespace iron::proxy
