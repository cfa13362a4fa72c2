#include "proxy/guard/hardening.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <netdb.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "policy/secret/secret_arena.h"
#include "proxy/log/log.h"
#include "tests/proxy/confined.h"

namespace iron::proxy {
namespace {

using HardeningTest = ConfinedTest;

TEST_F(HardeningTest, FilesOutsideAreRefused) {
  if (landlock_version() == 0) GTEST_SKIP() << "no Landlock";
  std::ofstream(directory_ / "other") << "x";
  for (const char* path : {"/etc/passwd", "/etc/shadow", "/proc/self/mem", "/proc/self/environ",
                           "/proc/self/maps", "/proc/self/exe", "/dev/mem", "/root", "/tmp", "/"}) {
    const int seen = opened(path, O_RDONLY);
    EXPECT_TRUE(seen == EACCES || seen == ENOENT) << path << ' ' << seen;
  }
  EXPECT_EQ(opened((directory_ / "other").string(), O_RDONLY), EACCES);
  EXPECT_EQ(opened((directory_ / "new").string(), O_WRONLY | O_CREAT), EACCES);
  EXPECT_EQ(opened(config_.path, O_WRONLY | O_APPEND), EACCES);
  EXPECT_EQ(opened((directory_ / "conf" / "new").string(), O_WRONLY | O_CREAT), EACCES);
  EXPECT_EQ(opened(config_.log.audit_path, O_RDONLY), EACCES);
  EXPECT_EQ(opened(config_.log.audit_path, O_WRONLY | O_TRUNC),
            landlock_version() >= 3 ? EACCES : 0);
}

TEST_F(HardeningTest, FilesInUseStayUsable) {
  EXPECT_EQ(opened(config_.path, O_RDONLY), 0);
  EXPECT_EQ(opened((directory_ / "conf").string(), O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(opened(config_.log.audit_path, O_WRONLY | O_APPEND | O_CREAT), 0);
  EXPECT_EQ(opened((directory_ / "log" / "new").string(), O_WRONLY | O_APPEND | O_CREAT), 0);
  for (const char* path :
       {"/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"}) {
    const int seen = opened(path, O_RDONLY);
    EXPECT_TRUE(seen == 0 || seen == ENOENT) << path << ' ' << seen;
  }
}

TEST_F(HardeningTest, ReplacedFilesStayUsable) {
  int gate[2];
  ASSERT_EQ(::pipe(gate), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    Hardening hardening(config_);
    hardening.confine_files();
    hardening.confine_calls();
    if (::write(gate[1], "c", 1) != 1) ::_exit(99);
    const std::string moved = config_.log.audit_path + ".1";
    struct stat info{};
    while (::stat(moved.c_str(), &info) != 0) ::poll(nullptr, 0, 5);
    const int read = outcome_of(::open(config_.path.c_str(), O_RDONLY | O_CLOEXEC));
    const int write = outcome_of(
        ::open(config_.log.audit_path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    ::_exit(read != 0 ? read : write);
  }
  char byte = 0;
  ASSERT_EQ(::read(gate[0], &byte, 1), 1);
  std::ofstream(config_.path + ".new") << "dns: {enabled: false}\n";
  std::filesystem::rename(config_.path + ".new", config_.path);
  std::filesystem::rename(config_.log.audit_path, config_.log.audit_path + ".1");
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  ::close(gate[0]);
  ::close(gate[1]);
}

TEST_F(HardeningTest, ServingGoesOn) {
  EXPECT_EQ(confined([] { return socket_of(AF_INET, SOCK_STREAM | SOCK_NONBLOCK); }), 0);
  EXPECT_EQ(confined([] { return bind_port(SOCK_DGRAM); }), 0);
  EXPECT_EQ(confined([] { return bind_port(SOCK_STREAM); }), landlock_version() >= 4 ? EACCES : 0);
  EXPECT_EQ(confined([] {
              addrinfo* found = nullptr;
              return ::getaddrinfo("localhost", "80", nullptr, &found);
            }),
            0);
  EXPECT_EQ(confined([] {
              int ran = 1;
              std::thread later([&ran] { ran = 0; });
              later.join();
              return ran;
            }),
            0);
}

TEST(ConfinedSecrets, MemoryCanStillBeHad) {
  if (!Hardening::possible()) GTEST_SKIP();
  // A program of its own: secret memory that exists already does not follow into a child.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        prepare_secret_memory();
        policy::Config config;
        config.tls.mode = "sni-only";
        Hardening hardening(config);
        hardening.confine_files();
        hardening.confine_calls();
        // More than the arena holds, in a block of its own and in small ones.
        SecretBuffer large(std::size_t{1} << 20);
        std::memset(large.data(), 'x', large.size());
        for (int i = 0; i < 40000; ++i) std::memset(take_secret_block(64).data, 'x', 64);
        ::_exit(7);
      },
      testing::ExitedWithCode(7), "");
}

TEST_F(HardeningTest, StaysDumpableWithoutCapabilities) {
  EXPECT_EQ(in_child([&] {
              Hardening hardening(config_);
              hardening.confine_files();
              if (::prctl(PR_GET_DUMPABLE) != 1) return 1;
              if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 2;
              __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
              __user_cap_data_struct held[2] = {};
              if (::syscall(SYS_capget, &header, held) != 0) return 3;
              for (const auto& part : held) {
                if ((part.effective | part.permitted | part.inheritable) != 0) return 4;
              }
              return 0;
            }),
            0);
}

TEST_F(HardeningTest, RootMayStillReadWhatBelongsToOthers) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  ASSERT_EQ(::chown(config_.path.c_str(), 12345, 12345), 0);
  ASSERT_EQ(::chmod(config_.path.c_str(), 0600), 0);
  EXPECT_EQ(opened(config_.path, O_RDONLY), 0);
  EXPECT_EQ(opened(config_.path, O_WRONLY), EACCES);
}

/// The records of a log, as text.
std::string reported(const policy::Config& config) {
  int ends[2];
  if (::pipe(ends) != 0) return {};
  std::string text(65536, '\0');
  in_child([&] {
    Hardening hardening(config);
    hardening.confine_files();
    hardening.confine_calls();
    Log::Options options;
    options.stderr_fd = ends[1];
    Log log(options);
    hardening.report(log);
    return log.flush(5000) ? 0 : 1;
  });
  ::close(ends[1]);
  text.resize(
      static_cast<std::size_t>(std::max<ssize_t>(::read(ends[0], text.data(), text.size()), 0)));
  ::close(ends[0]);
  return text;
}

TEST_F(HardeningTest, RecordSaysWhatWasApplied) {
  const std::string record = reported(config_);
  EXPECT_THAT(record,
              testing::HasSubstr(R"("level":"INFO","msg":"hardening","mode":"auto","applied":[")"));
  EXPECT_THAT(record, testing::HasSubstr(R"("capabilities","no_new_privs")"));
  EXPECT_THAT(record, testing::HasSubstr(R"("seccomp")"));
  if (landlock_version() >= 6) {
    EXPECT_THAT(
        record,
        testing::HasSubstr(
            R"("landlock_files","landlock_bind","landlock_scopes","seccomp"],"unavailable":[)"));
  }
}

TEST_F(HardeningTest, OffAppliesNothing) {
  config_.hardening = "off";
  const std::string record = reported(config_);
  EXPECT_THAT(record,
              testing::ContainsRegex(R"("mode":"off","applied":\["[a-z_]+"\],"unavailable":\[\])"));
  EXPECT_EQ(opened("/etc/passwd", O_RDONLY), 0);
  EXPECT_EQ(confined([] { return socket_of(AF_UNIX, SOCK_STREAM); }), 0);
}

TEST_F(HardeningTest, ThreadsThatCameTooEarlyAreToldOf) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(in_child([&] {
              std::atomic<bool> end{false};
              std::thread earlier([&] { end.wait(false); });
              Hardening hardening(config_);
              hardening.confine_files();
              Log::Options options;
              options.stderr_fd = ends[1];
              Log log(options);
              hardening.report(log);
              log.flush(5000);
              end = true;
              end.notify_all();
              earlier.join();
              return 0;
            }),
            0);
  char text[4096] = {};
  ASSERT_GT(::read(ends[0], text, sizeof text - 1), 0);
  const char* told = landlock_version() > 0 ? "landlock_files: of 1 threads" : "landlock: ";
  EXPECT_THAT(text, testing::HasSubstr(told));
  ::close(ends[0]);
  ::close(ends[1]);
}

/// Whether one of the grants is for this path.
bool granted(const std::vector<FileGrant>& grants, const std::string& path, FileGrant::Use use) {
  for (const FileGrant& grant : grants) {
    if (grant.path == path && grant.use == use) return true;
  }
  return false;
}

TEST_F(HardeningTest, DirectoriesOfFilesAndLinks) {
  using Use = FileGrant::Use;
  std::filesystem::create_directory(directory_ / "real");
  std::ofstream(directory_ / "real" / "ca.crt") << "x";
  std::filesystem::create_symlink(directory_ / "real" / "ca.crt", directory_ / "conf" / "ca.crt");
  config_.tls.mode = "mitm";
  config_.tls.ca_cert = (directory_ / "conf" / "ca.crt").string();
  config_.tls.ca_key = "ca.key";
  config_.log.audit_path = "/dev/null";
  const auto grants = files_in_use(config_);
  EXPECT_TRUE(granted(grants, (directory_ / "conf").string(), Use::read));
  EXPECT_TRUE(granted(grants, (directory_ / "real").string(), Use::read));
  EXPECT_TRUE(granted(grants, ".", Use::read));
  EXPECT_TRUE(granted(grants, "/dev/null", Use::append));
  EXPECT_FALSE(granted(grants, "/dev", Use::append));
  config_.path = "/proxy.yaml";
  config_.log.audit_path = "/audit.log";
  const auto at_root = files_in_use(config_);
  EXPECT_TRUE(granted(at_root, "/proxy.yaml", Use::read));
  EXPECT_FALSE(granted(at_root, "/", Use::read));
  EXPECT_FALSE(granted(at_root, "/", Use::append));
}

}  // namespace
}  // namespace iron::proxy
