#include "proxy/guard/replaced_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/config/open_file.h"
#include "proxy/log/log.h"

namespace iron::proxy {
namespace {

bool can_be_opened(const FileGrant& file) {
  const int how = file.use == FileGrant::Use::read ? O_RDONLY : O_WRONLY | O_APPEND | O_NOFOLLOW;
  const int descriptor = policy::open_file(file.path, how | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return false;
  // A folder or a pipe opens, and is not read all the same.
  struct stat info{};
  const bool useful = file.use != FileGrant::Use::read ||
                      (::fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode));
  ::close(descriptor);
  return useful;
}

}  // namespace

ReplacedFiles::ReplacedFiles(const std::vector<FileGrant>& files) {
  for (const FileGrant& file : files) files_.push_back({file, identity(file.path)});
}

ReplacedFiles::Identity ReplacedFiles::identity(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return std::pair(info.st_dev, info.st_ino);
}

void ReplacedFiles::check(Log& log) {
  for (Followed& followed : files_) {
    const Identity now = identity(followed.file.path);
    if (!now || now == followed.seen) continue;
    followed.seen = now;
    if (can_be_opened(followed.file)) continue;
    log.write(Level::warn, "file replaced, restart needed", {{"path", followed.file.path}});
  }
}

}  // namespace iron::proxy
