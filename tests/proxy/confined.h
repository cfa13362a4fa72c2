#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "proxy/guard/hardening.h"

namespace iron::proxy {

/// 0 if the call went well, else what it failed with.
inline int outcome_of(long result) { return result >= 0 ? 0 : errno; }

/// What `attempt` returns in a process of its own, which it may confine for good; 1000 and the
/// signal if that process was ended by one.
inline int in_child(const std::function<int()>& attempt) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(attempt());
  int status = 0;
  if (::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/// A configuration with files, and processes that are confined by it.
class ConfinedTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!Hardening::possible()) GTEST_SKIP() << "sanitizers need what would be given up";
    std::string form = (std::filesystem::temp_directory_path() / "hardening_XXXXXX").string();
    directory_ = ::mkdtemp(form.data());
    std::filesystem::create_directory(directory_ / "conf");
    std::filesystem::create_directory(directory_ / "log");
    config_.path = (directory_ / "conf" / "proxy.yaml").string();
    config_.tls.mode = "sni-only";
    config_.log.audit_path = (directory_ / "log" / "audit.log").string();
    std::ofstream(config_.path) << "dns: {}\n";
    std::ofstream(config_.log.audit_path) << "{}\n";
  }
  void TearDown() override {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }

  /// What `attempt` gives in a confined process.
  int confined(const std::function<int()>& attempt) const {
    return in_child([&] {
      Hardening hardening(config_);
      hardening.confine_files();
      hardening.confine_calls();
      return attempt();
    });
  }
  int opened(const std::string& path, int flags) const {
    return confined([&] { return outcome_of(::open(path.c_str(), flags | O_CLOEXEC, 0600)); });
  }

  std::filesystem::path directory_;
  policy::Config config_;
};

inline int socket_of(int family, int type) { return outcome_of(::socket(family, type, 0)); }

inline int bind_port(int type) {
  const int socket = ::socket(AF_INET, type, 0);
  if (socket < 0) return 999;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  return outcome_of(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address));
}

}  // namespace iron::proxy
