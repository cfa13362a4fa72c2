#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "bench/policies.h"
#include "bench/request_path.h"
#include "proxy/wait/buffers.h"

namespace {

std::atomic<long> allocations = 0;

void* counted(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace iron::proxy {
namespace {

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
    const long before = allocations;
    const bool good = step.run(path);
    const long made = allocations - before;
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
  const long before = allocations;
  for (Buffer& block : blocks) block.release();
  EXPECT_EQ(allocations - before, 0);
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

}  // namespace
}  // namespace iron::proxy
