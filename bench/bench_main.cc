#include <benchmark/benchmark.h>

#include "bench/case.h"

// IRON_BENCH_CASES: the function whose cases this program measures.
int main(int count, char** arguments) {
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  for (const iron::bench::Case& entry : iron::bench::IRON_BENCH_CASES()) {
    auto* const registered =
        benchmark::RegisterBenchmark(entry.name.c_str(), [entry](benchmark::State& state) {
          const std::function<void()> once = entry.prepare();
          for (auto _ : state) once();
          if (entry.bytes > 0) state.SetBytesProcessed(state.iterations() * entry.bytes);
        });
    if (entry.waits) registered->UseRealTime();
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
