#include "tests/proxy/session_model.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>

namespace iron::proxy::test {
namespace {

std::uint64_t variable(const char* name, std::uint64_t otherwise) {
  const char* const text = ::getenv(name);
  return text == nullptr ? otherwise : std::stoull(text);
}

/// IRON_MODEL_SECONDS: how long; IRON_MODEL_SEED: where the seeds begin. A failure names its seed,
/// which alone repeats it: IRON_MODEL_SEED=n IRON_MODEL_SECONDS=0.
TEST(SessionModel, HoldsInEveryOrderOfEvents) {
  using Clock = std::chrono::steady_clock;
  const std::chrono::seconds limit(variable("IRON_MODEL_SECONDS", 10));
  std::uint64_t seed = variable("IRON_MODEL_SEED", 1);
  const auto begin = Clock::now();
  std::size_t steps = 0, runs = 0;
  do {
    const ModelRun run = run_model(seed);
    ASSERT_EQ(run.fault, "") << "IRON_MODEL_SEED=" << seed << "\n" << run.trail;
    steps += run.steps;
    ++runs;
    ++seed;
  } while (Clock::now() - begin < limit);
  const std::chrono::duration<double> took = Clock::now() - begin;
  std::cout << runs << " runs, " << steps << " steps, "
            << static_cast<std::size_t>(static_cast<double>(steps) / took.count())
            << " steps a second\n";
}

}  // namespace
}  // namespace iron::proxy::test
