#include "proxy/log/recorder.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "proxy/log/refusal_limiter.h"

namespace iron::proxy {
namespace {

using testing::HasSubstr;
using testing::Not;

/// A recorder whose records end in a pipe.
class RecorderTest : public testing::Test {
 protected:
  RecorderTest() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    Log::Options options;
    options.stderr_fd = ends_[1];
    log_.emplace(options);
    recorder_.emplace(*log_, ids_, limiter_, loop_);
    wait_.emplace(recorder_->batch());
  }
  ~RecorderTest() override {
    wait_.reset();
    recorder_.reset();
    log_.reset();
    for (const int end : ends_) ::close(end);
  }
  std::string written() {
    while (loop_.turn()) {
    }
    std::array<char, 65536> text{};
    const ssize_t size = ::read(ends_[0], text.data(), text.size());
    return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }

  Arrival arrival(const policy::IpAddress& address, std::string_view remote) {
    return {.recorded = *wait_, .address = address, .remote_addr = remote};
  }
  Arrival arrival() { return arrival(address_, "10.1.2.3:5000"); }

  const policy::IpAddress address_ = *policy::IpAddress::parse("10.1.2.3");
  std::array<int, 2> ends_{};
  EventLoop loop_;
  RecordIds ids_;
  RefusalLimiter limiter_;
  std::optional<Log> log_;
  std::optional<Recorder> recorder_;
  std::optional<RecordBatch::Wait> wait_;
};

TEST(RecordIds, AreUniqueAndNoCounter) {
  RecordIds ids;
  ids.start(7);
  std::set<std::uint64_t> taken;
  for (int i = 0; i < 1000; ++i) taken.insert(ids.take());
  EXPECT_EQ(taken.size(), 1000u);
  for (auto id = std::next(taken.begin()); id != taken.end(); ++id) {
    EXPECT_GT(*id - *std::prev(id), 1ull << 32);
  }
}

TEST_F(RecorderTest, ARequestSaysWhatIsKnownOfItsConnection) {
  transforms::Exchange exchange;
  exchange.request.method = "GET";
  exchange.path = "/a";
  Arrival from = arrival();
  from.sni = "up.test";
  from.tls = Record::Tls{"1.3", true};
  from.tunnel = R"("tunnel":{"target":"up.test:443"})";
  recorder_->request(from, {Action::error, 502, "broken", 5'000'000},
                     {3, 4, "192.0.2.1:443", 2'000'000}, "up.test", exchange);
  const std::string line = written();
  EXPECT_THAT(
      line,
      HasSubstr(
          R"("level":"ERROR","msg":"request","audit":{"host":"up.test","method":"GET","path":"/a",)"
          R"("remote_addr":"10.1.2.3:5000","sni":"up.test","mode":"mitm","action":"error",)"
          R"("status_code":502,"duration_ms":5,"request_bytes":3,"response_bytes":4,)"
          R"("upstream_addr":"192.0.2.1:443","upstream_ms":2,"tls":{"version":"1.3","resumed":true},)"));
  EXPECT_THAT(line, HasSubstr(R"("tunnel":{"target":"up.test:443"},"error":"broken"})"));
}

TEST_F(RecorderTest, ATunnelIsNamedByItsTarget) {
  transforms::Exchange exchange;
  exchange.rejected_by = "allowlist";
  recorder_->tunnel(arrival(), {Action::reject, 403}, "[::1]:443", exchange);
  recorder_->tunnel(arrival(), {}, "up.test:443", exchange);
  const std::string lines = written();
  EXPECT_THAT(lines, HasSubstr(R"("host":"[::1]:443","method":"CONNECT","path":"",)"
                               R"("remote_addr":"10.1.2.3:5000","sni":"::1",)"));
  EXPECT_THAT(lines, HasSubstr(R"("rejected_by":"allowlist")"));
  EXPECT_THAT(lines.substr(lines.find('\n')), Not(HasSubstr("rejected_by")));
  EXPECT_THAT(lines, HasSubstr(R"("sni":"up.test")"));
}

TEST_F(RecorderTest, QuietRefusalsAreCountedAndNoNews) {
  transforms::Exchange exchange;
  exchange.rejected_by = "allowlist";
  recorder_->request(arrival(), {Action::reject, 403}, {}, "loud.test", exchange);
  EXPECT_EQ(recorder_->quiet_refusals(), 0U);
  exchange.quiet_refusal = true;
  recorder_->request(arrival(), {Action::reject, 403}, {}, "quiet.test", exchange);
  recorder_->tunnel(arrival(), {Action::reject, 403}, "quiet.test:443", exchange);
  recorder_->pass_through(arrival(), {Action::reject, 403}, {}, "quiet.test", "quiet.test",
                          exchange);
  EXPECT_EQ(recorder_->quiet_refusals(), 3U);
  const std::string lines = written();
  EXPECT_THAT(lines, HasSubstr("loud.test"));
  EXPECT_THAT(lines, Not(HasSubstr("quiet.test"))) << "the log takes INFO and above";
  Record record;
  record.action = Action::reject;
  record.exchange = &exchange;
  EXPECT_EQ(level_of(record), Level::debug);
  std::string line;
  render(record, line);
  EXPECT_THAT(line, HasSubstr(R"("level":"DEBUG","msg":"request")"));
  exchange.reset();
  EXPECT_EQ(level_of(record), Level::warn);
}

TEST_F(RecorderTest, ASessionPassedThroughCarriesNoTunnel) {
  transforms::Exchange exchange;
  Arrival from = arrival();
  from.tunnel = R"("tunnel":{})";
  exchange.mode = transforms::Mode::passthrough;
  recorder_->pass_through(from, {}, {}, "up.test:22", "up.test", exchange);
  const std::string line = written();
  EXPECT_THAT(line, HasSubstr(R"("host":"up.test:22")"));
  EXPECT_THAT(line, HasSubstr(R"("sni":"up.test","mode":"passthrough","action":"allow")"));
  EXPECT_THAT(line, Not(HasSubstr("tunnel")));
}

TEST_F(RecorderTest, RefusalsAreLimitedForEachAddress) {
  Refusal refusal;
  refusal.error = "malformed request";
  for (int i = 0; i < 30; ++i) recorder_->refusal(arrival(), refusal);
  const policy::IpAddress other = *policy::IpAddress::parse("10.1.2.4");
  recorder_->refusal(arrival(other, "10.1.2.4:1"), refusal);
  const std::string lines = written();
  // A second may end in between.
  EXPECT_THAT(std::count(lines.begin(), lines.end(), '\n'), testing::AnyOf(11, 21));
  EXPECT_THAT(lines, HasSubstr(R"("remote_addr":"10.1.2.4:1")"));
  EXPECT_THAT(lines, HasSubstr(R"("rejected_by":"protocol","error":"malformed request"})"));
}

}  // namespace
}  // namespace iron::proxy
