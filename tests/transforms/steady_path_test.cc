#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/transforms/rig.h"

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

namespace iron::transforms {
namespace {

std::string secret(int token, const std::string& host) {
  return "- {source: {type: env, var: KEY}, replace: {proxy_value: hermes-proxy-" +
         std::to_string(100000 + token) +
         ", match_headers: [Authorization]}, rules: [{host: " + host + "}]}\n";
}

TEST(SteadyPath, DoesNotAllocate) {
  std::string domains = "domains:\n", entries = "secrets:\n";
  for (int i = 0; i < 10000; ++i) domains += "- '*.d" + std::to_string(i) + ".test'\n";
  for (int i = 0; i < 450; ++i) entries += secret(i, "h" + std::to_string(i) + ".d1.test");
  for (int i = 0; i < 50; ++i) entries += secret(1000 + i, "api.d7.test");
  Rig rig(Env{{"KEY", "REAL"}});
  rig.with("allowlist", domains).with("secrets", entries);
  const Pipeline& pipeline = rig.pipeline();
  Exchange& exchange = rig.exchange;
  const auto host = policy::Authority::parse("api.d7.test");
  const auto once = [&] {
    exchange.reset();
    exchange.request.method = "GET";
    exchange.authority.host = host->host;
    exchange.path = "/v1/chat/completions";
    exchange.raw_path = "/v1/chat/completions";
    exchange.request.headers.add("Host", "api.d7.test");
    exchange.request.headers.add("User-Agent", "t");
    exchange.request.headers.add("Authorization", "Bearer hermes-proxy-101049");
    BodyNeed need;
    return pipeline.run_request(exchange, need) == Pipeline::Progress::done &&
           pipeline.run_response(exchange) == Pipeline::Progress::done;
  };
  ASSERT_TRUE(once());
  ASSERT_TRUE(once());
  EXPECT_EQ(rig.annotations(1),
            R"({"swapped":[{"secret":"KEY","locations":["header:Authorization"]}]})");
  const long before = allocations;
  bool good = true;
  for (int i = 0; i < 100; ++i) good = good && once();
  EXPECT_TRUE(good);
  EXPECT_EQ(allocations - before, 0);
}

}  // namespace
}  // namespace iron::transforms
