#include "proxy/guard/file_broker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "proxy/guard/seccomp.h"
#include "tests/proxy/confined.h"

namespace iron::proxy {
namespace {

using Use = FileGrant::Use;

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string text_of(int descriptor) {
  char text[64] = {};
  const ssize_t size = ::read(descriptor, text, sizeof text);
  return {text, static_cast<std::size_t>(size > 0 ? size : 0)};
}

/// Ends a child of a test with the number of the line whose condition failed.
#define REQUIRE(condition) \
  if (!(condition)) return __LINE__ % 251 + 1

class FileBrokerTest : public ConfinedTest {
 protected:
  void SetUp() override {
    ConfinedTest::SetUp();
    if (IsSkipped()) return;
    followed_ = (directory_ / "followed").string();
    appended_ = (directory_ / "appended").string();
    std::ofstream(followed_) << "old";
    std::ofstream(appended_) << "a";
    files_ = {{followed_, Use::read}, {appended_, Use::append}};
  }
  void replace(const std::string& text) const {
    std::ofstream(followed_ + ".new") << text;
    std::filesystem::rename(followed_ + ".new", followed_);
  }
  /// `attempt` in a process with a broker, confined to files without those of the broker.
  int with_broker(const std::function<int(FileBroker&)>& attempt) const {
    return in_child([&] {
      auto broker = FileBroker::start(files_);
      REQUIRE(broker != nullptr);
      Hardening hardening(config_);
      hardening.confine_files();
      hardening.confine_calls();
      return attempt(*broker);
    });
  }

  std::string followed_, appended_;
  std::vector<FileGrant> files_;
};

TEST_F(FileBrokerTest, OpensWhatTookThePlaceOfAFile) {
  if (landlock_version() == 0) GTEST_SKIP() << "no Landlock";
  replace("new");
  EXPECT_EQ(with_broker([&](FileBroker&) {
              REQUIRE(::open(followed_.c_str(), O_RDONLY) < 0 && errno == EACCES);
              for (int round = 0; round < 100; ++round) {
                const int file = policy::open_file(followed_, O_RDONLY | O_CLOEXEC);
                REQUIRE(text_of(file) == "new");
                REQUIRE(::fcntl(file, F_GETFD) == FD_CLOEXEC);
                ::close(file);
              }
              const int log = policy::open_file(appended_, O_WRONLY | O_APPEND, 0600);
              REQUIRE(::write(log, "b", 1) == 1);
              return 0;
            }),
            0);
  EXPECT_EQ(text_of(appended_), "ab");
}

TEST_F(FileBrokerTest, OpensNothingElse) {
  const std::string other = (directory_ / "other").string();
  std::ofstream(other) << "x";
  EXPECT_EQ(with_broker([&](FileBroker& broker) {
              const auto refused = [&](const std::string& path, int flags, int with) {
                return broker.open(path, flags) < 0 && errno == with;
              };
              REQUIRE(refused(other, O_RDONLY, EACCES));
              REQUIRE(refused("/etc/passwd", O_RDONLY, EACCES));
              REQUIRE(refused(directory_ / "." / "followed", O_RDONLY, EACCES));
              // Neither what is read nor what is written to can be had otherwise.
              REQUIRE(refused(followed_, O_WRONLY | O_APPEND, EACCES));
              REQUIRE(refused(appended_, O_RDONLY, EACCES));
              const int file = broker.open(appended_, O_WRONLY);
              REQUIRE((::fcntl(file, F_GETFL) & (O_ACCMODE | O_APPEND)) == (O_WRONLY | O_APPEND));
              return 0;
            }),
            0);
}

TEST_F(FileBrokerTest, TellsWhatHappened) {
  std::filesystem::remove(followed_);
  EXPECT_EQ(with_broker([&](FileBroker& broker) {
              REQUIRE(broker.open(followed_, O_RDONLY) < 0 && errno == ENOENT);
              return 0;
            }),
            0);
  // A link in place of what is written to is refused, as it is by the log itself.
  std::filesystem::remove(appended_);
  std::filesystem::create_symlink("elsewhere", appended_);
  EXPECT_EQ(with_broker([&](FileBroker& broker) {
              REQUIRE(broker.open(appended_, O_WRONLY) < 0 && errno == ELOOP);
              return 0;
            }),
            0);
}

TEST_F(FileBrokerTest, HoldsNothing) {
  EXPECT_EQ(in_child([&] {
              const auto broker = FileBroker::start(files_);
              REQUIRE(broker->open(followed_, O_RDONLY) >= 0);  // it is confined when it answers
              const std::string process = "/proc/" + std::to_string(broker->process());
              std::istringstream status(text_of(process + "/status"));
              std::string line;
              while (std::getline(status, line)) {
                if (line.starts_with("Name:")) REQUIRE(line == "Name:\tfile-broker");
                if (line.starts_with("NoNewPrivs:")) REQUIRE(line.ends_with("\t1"));
                if (line.starts_with("Seccomp:")) REQUIRE(line.ends_with("\t2"));
                if (line.starts_with("CapPrm:")) REQUIRE(line.ends_with("0000000000000000"));
              }
              // It closes what it handed over when that is with us already.
              const auto descriptors = [&process] {
                const auto each = std::filesystem::directory_iterator(process + "/fd");
                return std::distance(begin(each), end(each));
              };
              for (int left = 20000; left > 0 && descriptors() > 1; --left) ::poll(nullptr, 0, 1);
              REQUIRE(descriptors() == 1);
              REQUIRE(text_of(process + "/cmdline").starts_with(std::string("file-broker\0", 12)));
              std::istringstream environment(text_of(process + "/environ"));
              bool any = false;
              while (std::getline(environment, line, '\0')) {
                const std::size_t equals = line.find('=');
                if (equals == line.npos || line.starts_with("HERMES_IRON_PROXY_NONCE=")) continue;
                // What another test has taken out of its environment is nobody's to blank.
                if (::getenv(line.substr(0, equals).c_str()) == nullptr) continue;
                any = true;
                REQUIRE(line.find_first_not_of(' ', equals + 1) == line.npos);
              }
              REQUIRE(any);
              return 0;
            }),
            0);
}

/// Whether the process, an orphan that came to this one, ends soon. One that ended while its parent
/// was still ending never came: the kernel removed it for the parent.
bool ends(pid_t process) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < limit) {
    if (::waitpid(process, nullptr, WNOHANG) == process) return true;
    if (::kill(process, 0) != 0 && errno == ESRCH) return true;
    ::poll(nullptr, 0, 1);
  }
  return false;
}

TEST_F(FileBrokerTest, EndsWithItsParent) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  for (const bool killed : {true, false}) {
    int gate[2];
    ASSERT_EQ(::pipe(gate), 0);
    const pid_t parent = ::fork();
    if (parent == 0) {
      const auto broker = FileBroker::start(files_);
      const pid_t process = broker->process();
      if (::write(gate[1], &process, sizeof process) < 0) ::_exit(1);
      if (killed) ::kill(::getpid(), SIGKILL);
      ::_exit(0);
    }
    pid_t process = 0;
    ASSERT_EQ(::read(gate[0], &process, sizeof process), static_cast<ssize_t>(sizeof process));
    ASSERT_EQ(::waitpid(parent, nullptr, 0), parent);
    EXPECT_TRUE(ends(process));
    ::close(gate[0]);
    ::close(gate[1]);
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_F(FileBrokerTest, IsGoneWhenItWasEnded) {
  EXPECT_EQ(in_child([&] {
              auto broker = FileBroker::start(files_);
              const pid_t process = broker->process();
              REQUIRE(::kill(process, 0) == 0);
              broker->end();
              REQUIRE(broker->open(followed_, O_RDONLY) < 0 && errno == EACCES);
              broker.reset();
              for (int left = 20000; left > 0 && ::kill(process, 0) == 0; --left) {
                ::poll(nullptr, 0, 1);
              }
              REQUIRE(::kill(process, 0) != 0 && errno == ESRCH);  // no zombie either
              return 0;
            }),
            0);
}

/// What somebody would try who runs code of his own in the broker.
TEST_F(FileBrokerTest, IsRefusedAllButOpening) {
  EXPECT_EQ(in_child([&] {
              char* const page = static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE,
                                                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
              std::strcpy(page, followed_.c_str());
              const OpenedFile file{page, O_RDONLY | O_CLOEXEC};
              ::mprotect(page, 4096, PROT_READ);
              if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 1;
              if (restrict_to_opening({&file, 1}).has_error()) return 2;
              const auto opened = [](const char* path, int flags) {
                return outcome_of(::syscall(SYS_openat, AT_FDCWD, path, flags, 0600));
              };
              REQUIRE(opened(page, file.flags) == 0);
              REQUIRE(opened(page, O_RDWR) == EPERM);
              REQUIRE(opened(page + 1, file.flags) == EPERM);
              REQUIRE(opened("/etc/passwd", file.flags) == EPERM);
              REQUIRE(outcome_of(::mprotect(page, 4096, PROT_READ | PROT_WRITE)) == EPERM);
              REQUIRE(::mmap(page, 4096, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
              REQUIRE(socket_of(AF_INET, SOCK_STREAM) == EPERM);
              REQUIRE(outcome_of(::kill(::getppid(), 0)) == EPERM);
              REQUIRE(outcome_of(::syscall(SYS_execve, page, nullptr, nullptr)) == EPERM);
              REQUIRE(outcome_of(::syscall(SYS_clone, SIGCHLD, 0)) == EPERM);
              REQUIRE(outcome_of(::syscall(SYS_ptrace, 0)) == EPERM);
              char byte = 0;
              REQUIRE(outcome_of(::syscall(SYS_read, 0, &byte, 1)) == EPERM);
              REQUIRE(outcome_of(::syscall(SYS_write, 2, &byte, 1)) == EPERM);
              return 0;
            }),
            0);
}

}  // namespace
}  // namespace iron::proxy
