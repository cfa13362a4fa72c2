#include "proxy/log/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>
#include <vector>

namespace iron::proxy {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

constexpr int kWaitMs = 10'000;

/// A pipe whose reading end the test holds.
struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
    read = ends[0];
    write = ends[1];
  }
  ~Pipe() {
    close_reader();
    ::close(write);
  }
  void close_reader() {
    if (read >= 0) ::close(read);
    read = -1;
  }
  /// Reads until `enough(text)` holds.
  template <class Enough>
  std::string read_until(Enough enough) const {
    std::string text;
    while (!enough(text)) {
      pollfd ready{read, POLLIN, 0};
      if (::poll(&ready, 1, kWaitMs) != 1) break;
      std::array<char, 65536> part{};
      const ssize_t count = ::read(read, part.data(), part.size());
      if (count <= 0) break;
      text.append(part.data(), static_cast<std::size_t>(count));
    }
    return text;
  }
  std::string read_lines(int wanted) const {
    return read_until([wanted](const std::string& text) {
      return std::count(text.begin(), text.end(), '\n') >= wanted;
    });
  }
};

/// A directory that goes with the test.
struct Directory {
  std::filesystem::path path;
  Directory() {
    std::string form = (std::filesystem::temp_directory_path() / "log_test_XXXXXX").string();
    path = ::mkdtemp(form.data());
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string file(const char* name) const { return (path / name).string(); }
};

std::string contents(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

Log::Options options_for(int descriptor) {
  Log::Options options;
  options.stderr_fd = descriptor;
  return options;
}

TEST(Log, WritesAttributesInTheOrderGiven) {
  Pipe pipe;
  Log log(options_for(pipe.write));
  const std::vector<std::string> names{"a", "b\"c"};
  log.write(Level::warn, "some \"message\"",
            {{"text", "line\nfeed"},
             {"number", std::int64_t{-7}},
             {"flag", true},
             {"took", std::chrono::nanoseconds(1'250'999)},
             {"list", std::span<const std::string>(names)}});
  EXPECT_THAT(
      pipe.read_lines(1),
      MatchesRegex("\\{\"time\":\"[^\"]+\",\"level\":\"WARN\",\"msg\":\"some \\\\\"message\\\\"
                   "\"\",\"text\":\"line\\\\nfeed\",\"number\":-7,\"flag\":true,\"took\":1\\.25,"
                   "\"list\":\\[\"a\",\"b\\\\\"c\"\\]\\}\n"));
}

TEST(Log, WritesConfigWarnings) {
  Pipe pipe;
  Log log(options_for(pipe.write));
  log.write(policy::ConfigWarning{"pattern never matches",
                                  {{"file", "c.yaml", false}, {"line", "12", true}}});
  EXPECT_THAT(pipe.read_lines(1), HasSubstr("\"level\":\"WARN\",\"msg\":\"pattern never matches\","
                                            "\"file\":\"c.yaml\",\"line\":12}\n"));
}

TEST(Log, LeavesOutWhatIsBelowTheLevel) {
  Pipe pipe;
  Log::Options options = options_for(pipe.write);
  options.level = Level::warn;
  Log log(options);
  log.write(Level::debug, "one");
  log.write(Level::info, "two");
  log.request_record(Level::info, "{\"three\":3}\n");
  log.write(Level::error, "four");
  EXPECT_THAT(pipe.read_lines(1), testing::AllOf(testing::StartsWith("{"), HasSubstr("\"four\"")));
  EXPECT_TRUE(log.enabled(Level::error));
  EXPECT_FALSE(log.enabled(Level::info));
}

TEST(Log, ParsesLevels) {
  EXPECT_EQ(parse_level("debug"), Level::debug);
  EXPECT_EQ(parse_level("info"), Level::info);
  EXPECT_EQ(parse_level("warn"), Level::warn);
  EXPECT_EQ(parse_level("error"), Level::error);
  EXPECT_EQ(parse_level("INFO"), std::nullopt);
  EXPECT_EQ(parse_level(""), std::nullopt);
}

TEST(Log, LinesOfManyThreadsStayWholeAndInOrder) {
  constexpr int kThreads = 4, kLines = 5000;
  Pipe pipe;
  Log log(options_for(pipe.write));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&log, t] {
      for (int i = 0; i < kLines; ++i) {
        log.request_record(Level::info, std::to_string(t) + " " + std::to_string(i) + "\n");
      }
    });
  }
  const std::string text = pipe.read_lines(kThreads * kLines);
  for (auto& thread : threads) thread.join();
  std::array<int, kThreads> next{};
  for (const std::string& line : lines_of(text)) {
    int thread = -1, number = -1;
    ASSERT_EQ(std::sscanf(line.c_str(), "%d %d", &thread, &number), 2) << line;
    ASSERT_EQ(next.at(static_cast<std::size_t>(thread))++, number);
  }
  EXPECT_THAT(next, testing::Each(kLines));
}

TEST(Log, AReaderThatStallsFillsTheBufferAndLosesNothing) {
  Pipe pipe;
  Log::Options options = options_for(pipe.write);
  options.buffer_bytes = 512 * 1024;
  Log log(options);
  const std::string filling(1000, 'x');
  int written = 0;
  while (!log.full() && written < 10'000) {
    log.request_record(Level::info, std::to_string(written++) + filling + "\n");
  }
  ASSERT_TRUE(log.full());
  EXPECT_FALSE(log.flush(1));
  const auto lines = lines_of(pipe.read_lines(written));
  ASSERT_EQ(lines.size(), static_cast<std::size_t>(written));
  for (int i = 0; i < written; ++i) {
    EXPECT_EQ(lines[static_cast<std::size_t>(i)], std::to_string(i) + filling);
  }
  EXPECT_TRUE(log.flush(kWaitMs));
  EXPECT_FALSE(log.full());
}

TEST(Log, DropsAndCountsWhenTold) {
  Pipe pipe;
  Log::Options options = options_for(pipe.write);
  options.buffer_bytes = 256 * 1024;
  options.drop_when_full = true;
  Log log(options);
  const std::string line = std::string(1000, 'x') + "\n";
  constexpr int kLines = 2000;
  for (int i = 0; i < kLines; ++i) log.request_record(Level::info, line);
  EXPECT_FALSE(log.full());
  const std::string text = pipe.read_until([](const std::string& got) {
    return got.find("log records lost") != got.npos && got.back() == '\n';
  });
  const auto count_at = text.find("\"count\":");
  ASSERT_NE(count_at, text.npos);
  const int lost = std::atoi(text.c_str() + count_at + 8);
  EXPECT_GT(lost, 0);
  // The report may come before the last lines kept.
  log.write(Level::error, "end");
  const std::string rest =
      pipe.read_until([](const std::string& got) { return got.find("\"end\"") != got.npos; });
  const auto kept = std::count(text.begin(), text.end(), '\n') - 1 +
                    std::count(rest.begin(), rest.end(), '\n') - 1;
  EXPECT_EQ(kept + lost, kLines);
}

TEST(Log, AReaderThatIsGoneEndsNothing) {
  Pipe pipe;
  Log log(options_for(pipe.write));
  pipe.close_reader();
  for (int i = 0; i < 100; ++i) log.write(Level::info, "nobody reads this");
  EXPECT_TRUE(log.flush(kWaitMs));
  EXPECT_FALSE(log.full());
}

TEST(Log, TellsWhatWasLostWhenTheReaderComesBack) {
  Directory directory;
  const std::string path = directory.file("fifo");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  Pipe pipe;
  ::close(pipe.read);
  pipe.read = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const int writer = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_GE(writer, 0);
  Log log(options_for(writer));
  log.write(Level::info, "first");
  EXPECT_THAT(pipe.read_lines(1), HasSubstr("\"first\""));
  pipe.close_reader();
  for (int i = 0; i < 3; ++i) log.write(Level::info, "lost");
  EXPECT_TRUE(log.flush(kWaitMs));
  pipe.read = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const std::string text = pipe.read_until(
      [](const std::string& got) { return got.find("log records lost") != got.npos; });
  EXPECT_THAT(text, HasSubstr("\"level\":\"WARN\",\"msg\":\"log records lost\",\"count\":3}\n"));
  EXPECT_THAT(text, testing::Not(HasSubstr("\"lost\"")));
  ::close(writer);
}

TEST(Log, ADiskThatFillsUpLeavesWholeLinesOnly) {
  Directory directory;
  const std::string path = directory.file("audit");
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, SIG_IGN);
  Pipe pipe;
  Log log(options_for(pipe.write));
  ASSERT_TRUE(log.set_audit_path(path));
  rlimit small = before;
  small.rlim_cur = 25;
  ::setrlimit(RLIMIT_FSIZE, &small);
  for (int i = 0; i < 5; ++i)
    log.request_record(Level::info, "line " + std::to_string(i) + "....\n");
  log.flush(50);
  ::setrlimit(RLIMIT_FSIZE, &before);
  log.request_record(Level::info, "after it\n");
  EXPECT_TRUE(log.flush(kWaitMs));
  // 11 bytes each: two lines fit, the third was begun and is completed later. The others are lost,
  // unless the log's thread had no time to try them before there was room again.
  const std::vector<std::string> lines = lines_of(contents(path));
  const std::vector<std::string> all = {"line 0....", "line 1....", "line 2....",
                                        "line 3....", "line 4....", "after it"};
  auto place = all.begin();
  for (const std::string& line : lines) {
    place = std::find(place, all.end(), line);
    ASSERT_NE(place, all.end()) << contents(path);
    ++place;
  }
  EXPECT_THAT(lines, testing::IsSupersetOf({all[0], all[1], all[2], all[5]}));
  const std::size_t lost = all.size() - lines.size();
  if (lost == 0) return;
  EXPECT_THAT(pipe.read_lines(1),
              HasSubstr("\"msg\":\"log records lost\",\"count\":" + std::to_string(lost) + "}"));
}

TEST(Log, ADeviceThatIsAlwaysFullDoesNotSpinOrBlock) {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  rusage begin{}, end{};
  {
    Log log(options_for(full));
    ::getrusage(RUSAGE_SELF, &begin);
    for (int i = 0; i < 1000; ++i) log.write(Level::info, "no room");
    EXPECT_TRUE(log.flush(kWaitMs));
    for (int i = 0; i < 1000; ++i) log.write(Level::info, "no room");
  }
  ::getrusage(RUSAGE_SELF, &end);
  EXPECT_LT(end.ru_stime.tv_sec - begin.ru_stime.tv_sec, 2);
  ::close(full);
}

TEST(Log, ASmallBufferIsNotHeldUpByAFullDisk) {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  {
    Log::Options options = options_for(full);
    options.buffer_bytes = 20'000;
    Log log(options);
    const std::string line(99, 'x');
    // The pauses between attempts grow to a second. Requests wait while it is full.
    for (int round = 0; round < 20; ++round) {
      for (int i = 0; i < 1000 && !log.full(); ++i) log.request_record(Level::info, line + '\n');
      const auto began = std::chrono::steady_clock::now();
      while (log.full()) ::poll(nullptr, 0, 1);
      EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(500));
    }
  }
  ::close(full);
}

TEST(Log, AReaderThatFellBehindCatchesUpAsFastAsItReads) {
  auto fastest = std::chrono::steady_clock::duration::max();
  for (int round = 0; round < 5; ++round) {
    Pipe pipe;
    ASSERT_EQ(::fcntl(pipe.write, F_SETPIPE_SZ, 4096), 4096);
    Log log(options_for(pipe.write));
    constexpr int kLines = 2000;
    const std::string line(99, 'x');
    for (int i = 0; i < kLines; ++i) log.request_record(Level::info, line + '\n');
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(pipe.read_lines(kLines).size(), kLines * 100u);
    fastest = std::min(fastest, std::chrono::steady_clock::now() - began);
  }
  // It fills the pipe about fifty times; a pause behind each would add up to half a second.
  EXPECT_LT(fastest, std::chrono::milliseconds(150));
}

TEST(Log, RequestRecordsGoToTheAuditFileAndTheRestToStderr) {
  Directory directory;
  const std::string path = directory.file("audit");
  Pipe pipe;
  Log log(options_for(pipe.write));
  ASSERT_TRUE(log.set_audit_path(path));
  log.request_record(Level::info, "{\"msg\":\"request\"}\n");
  log.write(Level::info, "operational");
  EXPECT_TRUE(log.flush(kWaitMs));
  EXPECT_EQ(contents(path), "{\"msg\":\"request\"}\n");
  EXPECT_THAT(pipe.read_lines(1), HasSubstr("\"operational\""));
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  ASSERT_TRUE(log.set_audit_path(""));
  log.request_record(Level::info, "{\"msg\":\"request\",\"back\":true}\n");
  EXPECT_THAT(pipe.read_lines(1), HasSubstr("back"));
}

TEST(Log, ReopensTheAuditFileAfterItWasMovedAway) {
  Directory directory;
  const std::string path = directory.file("audit"), moved = directory.file("audit.1");
  Pipe pipe;
  Log log(options_for(pipe.write));
  ASSERT_TRUE(log.set_audit_path(path));
  log.request_record(Level::info, "one\n");
  std::filesystem::rename(path, moved);
  ASSERT_TRUE(log.set_audit_path(path));
  log.request_record(Level::info, "two\n");
  EXPECT_TRUE(log.flush(kWaitMs));
  EXPECT_EQ(contents(moved), "one\n");
  EXPECT_EQ(contents(path), "two\n");
}

TEST(Log, RefusesAnAuditPathThatCanNotBeOpened) {
  Directory directory;
  const std::string link = directory.file("link"), target = directory.file("target");
  std::filesystem::create_symlink(target, link);
  Pipe pipe;
  Log log(options_for(pipe.write));
  ASSERT_TRUE(log.set_audit_path(directory.file("kept")));
  const struct {
    std::string path, reason;
  } cases[] = {
      {link, "too many levels of symbolic links"},
      {directory.path.string(), "is a directory"},
      {directory.file("missing/audit"), "no such file or directory"},
  };
  for (const auto& c : cases) {
    const auto result = log.set_audit_path(c.path);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().text, "opening log.audit_path: open " + c.path + ": " + c.reason);
  }
  log.request_record(Level::info, "still here\n");
  EXPECT_TRUE(log.flush(kWaitMs));
  EXPECT_EQ(contents(directory.file("kept")), "still here\n");
  EXPECT_FALSE(std::filesystem::exists(target));
}

TEST(Log, AStalledStderrDoesNotHoldUpTheAuditFile) {
  Directory directory;
  Pipe pipe;
  Log log(options_for(pipe.write));
  ASSERT_TRUE(log.set_audit_path(directory.file("audit")));
  const std::string filling(1000, 'x');
  for (int i = 0; i < 200; ++i) log.write(Level::info, filling);
  log.request_record(Level::info, "passes\n");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (contents(directory.file("audit")).empty() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_EQ(contents(directory.file("audit")), "passes\n");
  pipe.read_lines(200);
}

TEST(Log, EndsInTimeAlthoughNobodyReads) {
  Pipe pipe;
  const auto begin = std::chrono::steady_clock::now();
  {
    Log log(options_for(pipe.write));
    const std::string filling(1000, 'x');
    for (int i = 0; i < 500; ++i) log.write(Level::info, filling);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
}

TEST(Log, WritesWhatIsLeftWhenItEnds) {
  Pipe pipe;
  {
    Log log(options_for(pipe.write));
    log.write(Level::info, "last words");
  }
  EXPECT_THAT(pipe.read_lines(1), HasSubstr("last words"));
}

}  // namespace
}  // namespace iron::proxy
