#include <valgrind/callgrind.h>

#include <algorithm>
#include <cstdio>

#include "bench/case.h"

namespace {

/// Counts the instructions of `entry` alone: set-up and the rounds that fill caches are left out.
void measure(const iron::bench::Case& entry) {
  const std::function<void()> once = entry.prepare();
  once();
  // Where other threads work too, what they do beside the case may fall into it; the gate takes the
  // least.
  const int turns = entry.waits ? 3 : 1;
  for (int turn = 0; turn < turns; ++turn) {
    CALLGRIND_ZERO_STATS;
    for (int i = 0; i < entry.gate_rounds; ++i) once();
    CALLGRIND_DUMP_STATS_AT(entry.name.c_str());
  }
  std::printf("%s %d\n", entry.name.c_str(), entry.gate_rounds);
  std::fflush(stdout);
}

}  // namespace

// Run by bench/gate under callgrind; prints how often each case did its work. Arguments: names of
// cases, which then are the only ones, also those the gate leaves out.
int main(int count, char** arguments) {
  const std::vector<std::string> names(arguments + 1, arguments + count);
  for (const auto cases : {iron::bench::policy_cases, iron::bench::transforms_cases,
                           iron::bench::proxy_cases, iron::bench::tls_cases}) {
    for (iron::bench::Case entry : cases()) {
      const bool named = std::find(names.begin(), names.end(), entry.name) != names.end();
      if (!names.empty() && !named) continue;
      if (named && entry.gate_rounds == 0) entry.gate_rounds = 1000;
      if (entry.gate_rounds > 0) measure(entry);
    }
  }
}
