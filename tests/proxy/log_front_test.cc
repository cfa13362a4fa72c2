#include "proxy/log/log_front.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

namespace iron::proxy {
namespace {

using std::chrono::nanoseconds;

/// In a zone that is two hours and a half ahead.
struct LogLine : testing::Test {
  void SetUp() override {
    ::setenv("TZ", "TST-2:30", 1);
    ::tzset();
  }
  void TearDown() override {
    ::unsetenv("TZ");
    ::tzset();
  }
};

std::string rendered(std::int64_t since_epoch,
                     Level level,
                     std::string_view message,
                     std::vector<Attribute> attributes = {}) {
  std::string line;
  append_line(line, std::chrono::system_clock::time_point(nanoseconds(since_epoch)), level, message,
              attributes);
  return line;
}

TEST_F(LogLine, HasTheFormThatIsDocumented) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::vector<std::string> names{"a", "b\"c"}, none;
  struct Case {
    std::string line, expected;
  };
  const Case cases[] = {
      {rendered(0, Level::debug, ""),
       R"({"time":"1970-01-01T02:30:00+02:30","level":"DEBUG","msg":""})"},
      {rendered(1'796'000'000 * kSecond + 120'000'000, Level::info, "m"),
       R"({"time":"2026-11-30T03:23:20.12+02:30","level":"INFO","msg":"m"})"},
      {rendered(1'796'000'000 * kSecond + 999'999'999, Level::warn, "m"),
       R"({"time":"2026-11-30T03:23:20.999999999+02:30","level":"WARN","msg":"m"})"},
      {rendered(-1, Level::error, "a \"b\" {} {0} %s <&>\n\xff"),
       R"({"time":"1970-01-01T02:29:59.999999999+02:30","level":"ERROR",)"
       R"("msg":"a \"b\" {} {0} %s <&>\n\ufffd"})"},
      {rendered(0, Level::info, "m", {{"text", "\t{}"}, {"no", false}, {"yes", true}}),
       R"({"time":"1970-01-01T02:30:00+02:30","level":"INFO","msg":"m","text":"\t{}","no":false,)"
       R"("yes":true})"},
      {rendered(0, Level::info, "m",
                {{"least", std::numeric_limits<std::int64_t>::min()},
                 {"none", std::int64_t{0}},
                 {"took", nanoseconds(1'250'999)},
                 {"whole", nanoseconds(2'000'000)}}),
       R"({"time":"1970-01-01T02:30:00+02:30","level":"INFO","msg":"m",)"
       R"("least":-9223372036854775808,"none":0,"took":1.25,"whole":2})"},
      {rendered(0, Level::info, "m",
                {{"b", std::span<const std::string>(names)},
                 {"a\"", std::span<const std::string>(none)}}),
       R"({"time":"1970-01-01T02:30:00+02:30","level":"INFO","msg":"m","b":["a","b\"c"],)"
       R"("a\"":[]})"},
  };
  for (const Case& c : cases) EXPECT_EQ(c.line, c.expected + "\n");
}

/// A log whose thread is not started: what it holds is written when a request line is.
struct Front {
  explicit Front(Level least) : front(writer, least) {}
  ~Front() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  static std::array<int, 2> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
    return ends;
  }
  std::string written() {
    std::string lines = "end\n";
    writer.write(lines, nullptr);
    std::array<char, 4096> bytes{};
    const ssize_t count = ::read(ends[0], bytes.data(), bytes.size());
    return {bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
  }

  std::array<int, 2> ends = make_pipe();
  std::atomic<bool> full{false};
  LogWriter writer{
      {.buffer_bytes = 1 << 20,
       .stderr_fd = ends[1],
       .render_lost = [](std::uint64_t count) { return "lost " + std::to_string(count) + "\n"; }},
      full};
  LogFront front;
};

std::vector<std::string> messages(const std::string& text) {
  std::vector<std::string> found;
  for (std::size_t at = text.find("\"msg\":\""); at != text.npos;
       at = text.find("\"msg\":\"", at + 1)) {
    found.push_back(text.substr(at + 7, text.find('"', at + 7) - at - 7));
  }
  return found;
}

TEST(LogFront, WritesWhatItsLevelLetsThrough) {
  const std::vector<Level> levels{Level::debug, Level::info, Level::warn, Level::error};
  const std::vector<std::string> names{"debug", "info", "warn", "error"};
  for (std::size_t least = 0; least < levels.size(); ++least) {
    Front log(levels[least]);
    for (std::size_t i = 0; i < levels.size(); ++i) log.front.write(levels[i], names[i], {});
    const std::vector<std::string> expected(names.begin() + static_cast<std::ptrdiff_t>(least),
                                            names.end());
    EXPECT_EQ(messages(log.written()), expected);
  }
}

TEST(LogFront, PutsRequestLinesOfItsThreadBeforeItsOwn) {
  Front log(Level::info);
  std::string records = "one\n";
  LogFront::prepare_thread(&records);
  log.front.write(Level::debug, "unseen", {});
  EXPECT_EQ(records, "one\n");
  log.front.write(Level::info, "seen", {});
  LogFront::prepare_thread(nullptr);
  EXPECT_EQ(records, "");
  const std::string text = log.written();
  EXPECT_EQ(text.substr(0, 5), "one\n{");
  EXPECT_EQ(text.substr(text.size() - 6), "}\nend\n");
}

}  // namespace
}  // namespace iron::proxy
