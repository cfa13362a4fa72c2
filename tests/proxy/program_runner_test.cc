#include "proxy/guard/program_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/calls/program_line.h"

namespace iron::proxy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using transforms::ProgramNeed;
using transforms::ProgramRun;

constexpr const char* kToken = "ops_the-token-of-the-account";
constexpr const char* kKey = "sk-the-key-of-something-else";

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Whether it is no more than what nobody has waited for.
bool gone(pid_t process) {
  const std::string stat = text_of("/proc/" + std::to_string(process) + "/stat");
  return stat.empty() || stat.find(") Z ") != stat.npos;
}

class ProgramRunnerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::sigaction(SIGCHLD, nullptr, &before_);
    std::string form = (std::filesystem::temp_directory_path() / "programs_XXXXXX").string();
    directory_ = ::mkdtemp(form.data());
    ::setenv("PROGRAM_RUNNER_TEST_KEY", kKey, 1);
  }
  void TearDown() override {
    line_.reset();
    runner_.reset();
    ::sigaction(SIGCHLD, &before_, nullptr);
    ::unsetenv("PROGRAM_RUNNER_TEST_KEY");
    std::filesystem::remove_all(directory_);
  }

  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  /// A program of that name, in the language of the shell.
  std::string program(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << "#!/bin/sh\n" << text << "\n";
    ::chmod(path(name).c_str(), 0755);
    return path(name);
  }
  void start(const std::vector<ProgramNeed>& needs,
             std::chrono::milliseconds limit = ProgramRunner::kLimit) {
    line_.reset();
    runner_ = std::make_unique<ProgramRunner>(needs, limit);
    line_ = std::make_unique<ProgramLine>(loop_, runner_.get());
  }
  /// Of a runner that is started for this one.
  std::string run_alone(const std::string& text) {
    const ProgramNeed need{program("alone", text), {}, ""};
    start({need});
    return run({need, nullptr});
  }
  bool until(const std::function<bool()>& holds) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > limit) return false;
      loop_.turn(std::chrono::milliseconds(5));
    }
    return true;
  }
  std::string outcome(ProgramAttempt& attempt) {
    if (!until([&] { return attempt.look(); })) return "!it never ended";
    const Result<Secret> got = attempt.outcome();
    return got.has_error() ? "!" + got.error().text : std::string(got->reveal());
  }
  std::string run(const ProgramRun& what) {
    ProgramAttempt attempt(*line_, pause_, what);
    return outcome(attempt);
  }
  /// The process that a program wrote down.
  pid_t noted(const std::string& name) {
    until([&] { return text_of(path(name)).ends_with('\n'); });
    return static_cast<pid_t>(std::atoi(text_of(path(name)).c_str()));
  }

  std::string directory_;
  struct sigaction before_{};
  EventLoop loop_;
  Pause pause_{loop_};
  std::unique_ptr<ProgramRunner> runner_;
  std::unique_ptr<ProgramLine> line_;
};

transforms::SecretPtr token() { return std::make_shared<const Secret>(Secret::copy_of(kToken)); }

TEST_F(ProgramRunnerTest, RunsJustWhatTheStartNamed) {
  const std::string path = program("op", "echo \"$0|$#|$1|$2\"");
  const ProgramNeed need{path, {"read", "op://a b/$HOME;`x`"}, ""};
  start({need, need});
  EXPECT_EQ(run({need, nullptr}), path + "|2|read|op://a b/$HOME;`x`\n");
  const std::string refused =
      "!a program can be run only if the configuration at the start had one";
  EXPECT_EQ(run({{path, {"read"}, ""}, nullptr}), refused);
  EXPECT_EQ(run({{path, need.arguments, "LD_PRELOAD"}, token()}), refused);
  EXPECT_EQ(run({{"/bin/sh", {}, ""}, nullptr}), refused);
  EXPECT_FALSE(runner_->number_of({path, {}, ""}));
}

TEST_F(ProgramRunnerTest, TheProcessRefusesOtherNumbers) {
  start({{program("op", "echo ran >" + path("ran")), {}, ""}});
  const ProgramRunner::Order order{ProgramRunner::Order::Kind::run, 7, 1};
  line_.reset();
  ASSERT_GT(::send(runner_->socket(), &order, sizeof order, 0), 0);
  ProgramRunner::News news;
  ASSERT_GT(::recv(runner_->socket(), &news, sizeof news, 0), 0);
  EXPECT_EQ(news.kind, ProgramRunner::News::Kind::refused);
  EXPECT_EQ(news.run, 7U);
  EXPECT_EQ(news.code, EACCES);
  EXPECT_EQ(text_of(path("ran")), "");
}

TEST_F(ProgramRunnerTest, FindsThePathAtTheStart) {
  const std::string before = ::getenv("PATH");
  ::setenv("PATH", (directory_ + "/none::.:" + directory_ + ":" + before).c_str(), 1);
  program("iron-test-op", "echo found");
  const ProgramNeed named{"iron-test-op", {}, ""}, missing{"iron-test-none", {}, ""};
  start({named, missing});
  EXPECT_EQ(run({named, nullptr}), "found\n");
  ProgramAttempt attempt(*line_, pause_, {missing, nullptr});
  ASSERT_TRUE(attempt.look());
  const Result<Secret> got = attempt.outcome();
  EXPECT_EQ(got.error().text, "iron-test-none: executable file not found in PATH");
  EXPECT_EQ(got.error().fault, Fault::gone);
  ::setenv("PATH", before.c_str(), 1);
}

TEST_F(ProgramRunnerTest, NoneIsMadeWhereThereIsNoProgram) {
  start({{path("none"), {}, ""}});
  EXPECT_EQ(runner_->socket(), -1);
  EXPECT_EQ(run({{path("none"), {}, ""}, nullptr}),
            "!" + path("none") + ": no such file or directory");
}

TEST_F(ProgramRunnerTest, GivesTheKeyAndNoOther) {
  const ProgramNeed with{program("with", "env"), {}, "OP_SERVICE_ACCOUNT_TOKEN"};
  const ProgramNeed without{program("without", "env"), {}, ""};
  start({with, without});
  const std::string given = run({with, token()});
  EXPECT_THAT(given, HasSubstr("OP_SERVICE_ACCOUNT_TOKEN=" + std::string(kToken) + "\n"));
  EXPECT_THAT(given, HasSubstr("PATH=" + std::string(::getenv("PATH")) + "\n"));
  EXPECT_THAT(given, Not(HasSubstr(kKey)));
  EXPECT_THAT(given, Not(HasSubstr("PROGRAM_RUNNER_TEST_KEY")));
  EXPECT_THAT(run({without, nullptr}), Not(HasSubstr(kToken)));
}

TEST_F(ProgramRunnerTest, ChoosesWhatIsGivenOn) {
  std::vector<std::string> all{"PATH=/bin",
                               "HOME=   ",
                               "AWS_PROFILE=x",
                               "AWS_SECRET_ACCESS_KEY=s",
                               "LD_PRELOAD=/x.so",
                               "HTTPS_PROXY=http://u:p@h:1",
                               "no_proxy=a@b",
                               "HTTP_PROXY=http://h:1",
                               "NO_PROXY=c",
                               "OP_SERVICE_ACCOUNT_TOKEN=t",
                               "TZ",
                               "IRON_MANAGEMENT_API_KEY=k"};
  std::vector<char*> entries;
  for (std::string& entry : all) entries.push_back(entry.data());
  entries.push_back(nullptr);
  EXPECT_THAT(environment_for_programs(entries.data()),
              ElementsAre("PATH=/bin", "AWS_PROFILE=x", "HTTP_PROXY=http://h:1", "NO_PROXY=c"));
}

TEST_F(ProgramRunnerTest, TheProcessHoldsNoKey) {
  const ProgramNeed need{program("op", "echo x"), {}, "OP_SERVICE_ACCOUNT_TOKEN"};
  start({need});
  EXPECT_EQ(run({need, token()}), "x\n");
  const std::string process = "/proc/" + std::to_string(runner_->process());
  EXPECT_THAT(text_of(process + "/status"), HasSubstr("Name:\tprogram-runner\n"));
  EXPECT_THAT(text_of(process + "/status"), HasSubstr("NoNewPrivs:\t1\n"));
  EXPECT_EQ(text_of(process + "/environ").find(kToken), std::string::npos);
}

TEST_F(ProgramRunnerTest, TellsTheLastLineOfTheErrors) {
  struct Row {
    std::string script, outcome;
  };
  for (const Row& row : std::vector<Row>{
           {"echo a >&2; echo 'no item' >&2; exit 1", "!no item"},
           {"printf 'a\\nb \\n\\n' >&2; exit 1", "!b"},
           {"exit 3", "!exit status 3"},
           {"kill -9 $$", "!signal: killed"},
           {"head -c 5000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2; exit 1", "!end"},
           {"head -c 500 /dev/zero | tr '\\0' x >&2; exit 1", "!" + std::string(256, 'x')},
           {"printf 'a\\033b' >&2; exit 1", "!a?b"},
           {"echo problem >&2; printf value", "value"},
           {"cat; exec >&- 2>&-; exit 0", ""},
       }) {
    EXPECT_EQ(run_alone(row.script), row.outcome) << row.script;
  }
  const ProgramNeed need{program("op", "echo \"bad $T\" >&2; exit 1"), {}, "T"};
  start({need});
  EXPECT_EQ(run({need, token()}), "!exit status 1");
}

TEST_F(ProgramRunnerTest, TakesAMebibyteAndNoMore) {
  EXPECT_EQ(run_alone("head -c 1048576 /dev/zero").size(), 1048576U);
  EXPECT_EQ(run_alone("head -c 1048577 /dev/zero; sleep 100"), "!it wrote more than 1048576 bytes");
}

TEST_F(ProgramRunnerTest, ATooLongKeyIsRefused) {
  const ProgramNeed need{program("op", "printf %s \"$T\""), {}, "T"};
  start({need});
  const auto of_size = [&](std::size_t size) {
    return run({need, std::make_shared<const Secret>(Secret::copy_of(std::string(size, 'k')))});
  };
  EXPECT_EQ(of_size(ProgramRunner::kLongestSecret).size(), ProgramRunner::kLongestSecret);
  EXPECT_EQ(of_size(ProgramRunner::kLongestSecret + 1), "!the key for it is too long");
}

TEST_F(ProgramRunnerTest, ASlowOneKeepsNoOther) {
  ASSERT_EQ(::mkfifo(path("gate").c_str(), 0600), 0);
  const ProgramNeed slow{program("slow", "cat " + path("gate")), {}, ""};
  const ProgramNeed fast{program("fast", "echo fast"), {}, ""};
  start({slow, fast});
  ProgramAttempt waiting(*line_, pause_, {slow, nullptr});
  EXPECT_EQ(run({fast, nullptr}), "fast\n");
  EXPECT_FALSE(waiting.look());
  std::ofstream(path("gate")) << "slow";
  EXPECT_EQ(outcome(waiting), "slow");
}

TEST_F(ProgramRunnerTest, WhoGivesUpEndsTheProgramAndWhatItStarted) {
  const ProgramNeed need{program("op", "sleep 1000 & echo $! >" + path("child") + "; echo $$ >" +
                                           path("own") + "; wait"),
                         {},
                         ""};
  start({need});
  pid_t child = 0, own = 0;
  {
    ProgramAttempt attempt(*line_, pause_, {need, nullptr});
    child = noted("child");
    own = noted("own");
    EXPECT_FALSE(gone(child));
  }
  EXPECT_TRUE(until([&] { return gone(child) && gone(own); }));
}

TEST_F(ProgramRunnerTest, TheProcessHasALimitOfItsOwn) {
  const ProgramNeed need{program("op", "exec sleep 1000"), {}, ""};
  start({need}, std::chrono::milliseconds(100));
  EXPECT_EQ(run({need, nullptr}), "!signal: killed");
}

TEST_F(ProgramRunnerTest, EndsWithTheServer) {
  const ProgramNeed need{program("op", "echo $$ >" + path("own") + "; exec sleep 1000"), {}, ""};
  for (const bool killed : {false, true}) {
    std::filesystem::remove(path("own"));
    start({need});
    ProgramAttempt attempt(*line_, pause_, {need, nullptr});
    const pid_t own = noted("own"), process = runner_->process();
    if (killed) {
      ::kill(process, SIGKILL);
      EXPECT_EQ(outcome(attempt), "!the program runner is gone");
    } else {
      runner_->end();
    }
    EXPECT_TRUE(until([&] { return gone(own) && gone(process); })) << killed;
  }
}

}  // namespace
}  // namespace iron::proxy
