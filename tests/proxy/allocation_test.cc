#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "bench/policies.h"
#include "bench/request_path.h"
#include "proxy/log/log.h"
#include "proxy/wait/buffers.h"
#include "tests/proxy/counted_allocations.h"

namespace iron::proxy {
namespace {

using test::allocations;
using test::NoMemory;

using Step = bool (*)(bench::RequestPath&);

/// What a worker does with a request, in the order of bench::RequestPath::run().
constexpr struct {
  const char* name;
  Step run;
} kSteps[] = {
    {"parse the request's head", [](bench::RequestPath& path) { return path.parse_request(); }},
    {"host and path", [](bench::RequestPath& path) { return path.fill_exchange(); }},
    {"pipeline", [](bench::RequestPath& path) { return path.run_request(); }},
    {"write the upstream's head",
     [](bench::RequestPath& path) { return path.write_request(), true; }},
    {"parse the answer's head", [](bench::RequestPath& path) { return path.parse_response(); }},
    {"write the client's head",
     [](bench::RequestPath& path) { return path.write_response(), true; }},
    {"record", [](bench::RequestPath& path) { return path.render_record(), true; }},
};

/// Steps of a warm request that allocate, with how often; empty if none does.
std::string allocating_steps(std::string_view head, const bench::PolicySize& size) {
  const bench::Policy policy(size);
  bench::RequestPath path(policy.pipeline(), head);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(path.run());
  EXPECT_EQ(path.upstream_head().find(bench::kToken), std::string_view::npos);
  std::string found;
  for (const auto& step : kSteps) {
    const long before = allocations();
    const bool good = step.run(path);
    const long made = allocations() - before;
    EXPECT_TRUE(good) << step.name;
    if (made > 0) found += std::string(step.name) + ": " + std::to_string(made) + "\n";
  }
  return found;
}

std::string head_for(const std::string& host, const std::string& target) {
  return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " +
         bench::kToken +
         "\r\nUser-Agent: a-client/1.0\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n";
}

TEST(Allocation, NoneForGivingABlockBack) {
  BufferPool pool;
  std::vector<Buffer> blocks;
  for (std::size_t i = 0; i < 100; ++i) {
    blocks.push_back(pool.take(i % 2 == 0 ? BufferPool::kSmall : BufferPool::kLarge));
  }
  const long before = allocations();
  for (Buffer& block : blocks) block.release();
  EXPECT_EQ(allocations() - before, 0);
}

TEST(Allocation, NoneForASmallRequest) { EXPECT_EQ(allocating_steps(bench::kRequestHead, {}), ""); }

TEST(Allocation, NoneForALongHostAndPath) {
  const std::string head = head_for("a-name-that-is-longer-than-most-names-are.bench.test:8443",
                                    "/v1/" + std::string(300, 'p') + "%20q?limit=20&order=desc");
  EXPECT_EQ(allocating_steps(head, {}), "");
}

TEST(Allocation, NoneWhateverTheSizeOfThePolicy) {
  EXPECT_EQ(allocating_steps(bench::kRequestHead, {.domains = 2000, .secrets = 200}), "");
  EXPECT_EQ(allocating_steps(bench::kRequestHead, {.secrets = 50, .same_host = true}), "");
}

/// A log into a pipe, on a thread that is prepared for it.
struct PipedLog {
  PipedLog() {
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
    Log::Options options;
    options.deferred = true;
    options.stderr_fd = ends[1];
    log.emplace(options);
    log->prepare_thread();
  }
  ~PipedLog() {
    log.reset();
    ::close(ends[0]);
    ::close(ends[1]);
  }
  std::string written() {
    EXPECT_TRUE(log->flush(10'000));
    std::array<char, 4096> bytes{};
    const ssize_t count = ::read(ends[0], bytes.data(), bytes.size());
    return {bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
  }
  std::array<int, 2> ends{};
  std::optional<Log> log;
};

TEST(LogAllocations, AnOperationalLineTakesNone) {
  PipedLog piped;
  piped.log->write(Level::info, "the first one takes a chunk of the buffer");
  const long before = allocations();
  piped.log->write(Level::info, "another", {{"n", std::int64_t{1}}, {"text", "t"}, {"yes", true}});
  piped.log->write(Level::debug, "below the level", {{"n", std::int64_t{1}}});
  EXPECT_EQ(allocations() - before, 0);
  EXPECT_NE(piped.written().find("\"n\":1,\"text\":\"t\",\"yes\":true}"), std::string::npos);
}

TEST(LogAllocations, ALineForWhichThereIsNoMemoryIsCountedAsLost) {
  PipedLog piped;
  piped.log->write(Level::info, "the first one takes a chunk of the buffer");
  const std::string large(1000, 'x');  // a thread keeps less
  const std::exception_ptr short_of_memory = std::make_exception_ptr(std::bad_alloc());
  {
    const NoMemory none;
    piped.log->write(Level::info, large);
    piped.log->session_failed(short_of_memory);
  }
  const std::string text = piped.written() + piped.written();
  EXPECT_EQ(text.find(large), std::string::npos);
  EXPECT_NE(
      text.find("\"level\":\"ERROR\",\"msg\":\"session failed\",\"error\":\"std::bad_alloc\"}"),
      std::string::npos);
  piped.log.reset();
  std::array<char, 4096> bytes{};
  const ssize_t count = ::read(piped.ends[0], bytes.data(), bytes.size());
  const std::string rest(bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  EXPECT_NE((text + rest).find("\"msg\":\"log records lost\",\"count\":1}"), std::string::npos);
}

}  // namespace
}  // namespace iron::proxy
